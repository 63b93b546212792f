/** Shader of the elementwise ops: every thread handles four consecutive elements. */
import { defineKernel, type KernelBinding } from "../../kernel/kernel.js";
import {
  type Activation,
  activationSource,
  elementAt,
  load4,
  store4,
  storeTail,
  vec4Type,
} from "../../kernel/wgsl.js";
import { vec4Of } from "../../kernel/wgsl-text.js";
import { flatMain } from "../../kernel/wgsl-threads.js";
import type { FloatDType } from "../../tensor/dtype.js";

/** What is computed from `a`, the operands `b` and `c`, and the numbers `p` and `q`. */
export type ElementwiseOperation =
  | { readonly kind: "multiply" | "add_scaled" | "affine" | "channel_affine" | "clamp" | "cast" }
  | { readonly kind: "activate"; readonly activation: Activation };

export interface ElementwiseOperand {
  readonly dtype: FloatDType;
  /** `none`: one element per element of `a`. Otherwise a `[G, C]` table, `vector` where C is a multiple of 4. */
  readonly broadcast: "none" | "vector" | "element";
}

export interface ElementwiseSpec {
  readonly operation: ElementwiseOperation;
  readonly a: FloatDType;
  readonly b?: ElementwiseOperand | undefined;
  readonly c?: ElementwiseOperand | undefined;
  readonly y: FloatDType;
  /** `a` is the output itself. */
  readonly inPlace: boolean;
}

export const ELEMENTWISE_PARAMS = {
  count: "u32",
  first: "u32",
  channels: "u32",
  rows_per_group: "u32",
  p: "f32",
  q: "f32",
} as const;

function expression(operation: ElementwiseOperation): string {
  switch (operation.kind) {
    case "multiply":
      return "a * b";
    case "add_scaled":
      return "params.p * a + params.q * b";
    case "affine":
      return "a * params.p + params.q";
    case "channel_affine":
      return "a * b + c";
    case "clamp":
      // By its bits: WGSL lets an implementation assume that there is no NaN in arithmetic.
      return "select(clamp(a, vec4f(params.p), vec4f(params.q)), a, (bitcast<vec4u>(a) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u))";
    case "cast":
      return "a";
    case "activate":
      return `act_${operation.activation}(a)`;
    default:
      return operation satisfies never;
  }
}

function operandSource(name: string, operand: ElementwiseOperand): string {
  const lines = [load4(name, operand.dtype)];
  if (operand.broadcast === "none") {
    lines.push(`fn operand_${name}(i: u32) -> vec4f { return load4_${name}(i); }`);
  } else if (operand.broadcast === "vector") {
    lines.push(
      `fn operand_${name}(i: u32) -> vec4f { return load4_${name}(table_index(params.first + i * 4u) >> 2u); }`,
    );
  } else {
    lines.push(elementAt(name));
    lines.push(`fn operand_${name}(i: u32) -> vec4f {
  let e = params.first + i * 4u;
  return ${vec4Of((k) => `at_${name}(table_index(e + ${k}u))`)};
}`);
  }
  return lines.join("\n");
}

export function elementwiseKernel(spec: ElementwiseSpec) {
  const { operation, b, c, inPlace } = spec;
  const operands = [b && (["b", b] as const), c && (["c", c] as const)].filter((o) => o !== undefined);
  const y: KernelBinding = { name: "y", type: vec4Type(spec.y), access: "read_write" };
  const bindings: KernelBinding[] = inPlace ? [] : [{ name: "a", type: vec4Type(spec.a), access: "read" }];
  for (const [name, operand] of operands) {
    bindings.push({ name, type: vec4Type(operand.dtype), access: "read" });
  }
  bindings.push(y);
  const act = operation.kind === "activate" ? operation.activation : undefined;
  const describe = (o: ElementwiseOperand | undefined) => (o ? `${o.dtype}-${o.broadcast}` : "-");
  return defineKernel({
    inBounds: true,
    name: act ? `activate_${act}` : operation.kind,
    key: `${spec.a},${describe(b)},${describe(c)},${spec.y}${inPlace ? ",in-place" : ""}`,
    bindings,
    params: ELEMENTWISE_PARAMS,
    body: () => /* wgsl */ `
${inPlace ? "" : load4("a", spec.a)}
${load4("y", spec.y)}
${store4("y", spec.y)}
${act ? activationSource(act) : ""}
// Index in a [G, C] table for flat element e of the left operand.
fn table_index(e: u32) -> u32 {
  let row = e / params.channels;
  return (row / params.rows_per_group) * params.channels + (e - row * params.channels);
}
${operands.map(([name, operand]) => operandSource(name, operand)).join("\n")}
${flatMain(`
  if (i * 4u >= params.count) { return; }
  let a = load4_${inPlace ? "y" : "a"}(i);
${operands.map(([name]) => `  let ${name} = operand_${name}(i);`).join("\n")}
  var v = ${expression(operation)};
  ${storeTail("y", "i", "params.count")}`)}`,
  });
}
