/**
 * The end of a matrix product, on four neighbouring columns of f32 sums:
 * `out = residual + gate * (activation(sum + bias) * multiply)`, rounded once on the store.
 */
import type { KernelBinding } from "../../kernel/kernel.js";
import {
  type Activation,
  activationSource,
  load1,
  load4,
  PACK_BF16,
  pack2,
  scalarType,
  store4,
  vec4Type,
} from "../../kernel/wgsl.js";
import { vec4Of } from "../../kernel/wgsl-text.js";
import type { FloatDType } from "../../tensor/dtype.js";

export interface EpilogueShape {
  /** Output dtype. */
  readonly out: FloatDType;
  readonly bias?: FloatDType;
  readonly activation?: Activation;
  readonly multiply?: FloatDType;
  readonly gate?: FloatDType;
  /** `in_place`: the residual is what `out` holds. */
  readonly residual?: FloatDType | "in_place";
  /** N is a multiple of 4: rows are read and written four columns at a time. */
  readonly alignedN: boolean;
}

/** Text that two different epilogues never share. */
export function epilogueKey(e: EpilogueShape): string {
  const flag = (name: string, value: string | undefined) => (value ? ` ${name}:${value}` : "");
  return `out:${e.out}${flag("bias", e.bias)}${flag("act", e.activation)}${flag("mul", e.multiply)}${flag("gate", e.gate)}${flag("res", e.residual)}${e.alignedN ? " n4" : ""}`;
}

/** Bindings in the order bias, multiply, gate, residual, out; only those that are used. */
export function epilogueBindings(e: EpilogueShape): KernelBinding[] {
  const type = e.alignedN ? vec4Type : scalarType;
  const bindings: KernelBinding[] = [];
  for (const name of ["bias", "multiply", "gate"] as const) {
    const dtype = e[name];
    if (dtype) bindings.push({ name, type: type(dtype), access: "read" });
  }
  if (e.residual && e.residual !== "in_place") {
    bindings.push({ name: "residual", type: type(e.residual), access: "read" });
  }
  bindings.push({ name: "out", type: type(e.out), access: "read_write" });
  return bindings;
}

/**
 * `fn finish(row, column, sum: vec4f)`: columns `column .. column + 3` of output row `row`, both counted in the
 * whole output. Needs `params.n` (columns of the whole output), `params.column_end`, `params.gate_rows` (rows per
 * row of the gate) and `params.first_row` (the output row that binding rows start at). Call it with `column` a
 * multiple of 4.
 *
 * Two-byte outputs are written as pairs of columns: with an odd N the rows would share words, so N must be even.
 */
export function epilogueSource(e: EpilogueShape): string {
  const read = (name: string, index: string) =>
    e.alignedN ? `load4_${name}((${index}) >> 2u)` : gather(name, index);
  const lines = ["let at = row * params.n + column;", "var v = sum;"];
  if (e.bias) lines.push(`v += ${read("bias", "column")};`);
  if (e.activation) lines.push(`v = act_${e.activation}(v);`);
  if (e.multiply) lines.push(`v *= ${read("multiply", "at")};`);
  if (e.gate) {
    lines.push("let gate_at = ((row + params.first_row) / params.gate_rows) * params.n + column;");
    lines.push(`v *= ${read("gate", "gate_at")};`);
  }
  if (e.residual === "in_place") lines.push(`v += ${read("out", "at")};`);
  else if (e.residual) lines.push(`v += ${read("residual", "at")};`);
  lines.push(e.alignedN ? "store4_out(at >> 2u, v);" : scatter(e.out));

  const loads: [string, FloatDType | undefined][] = [
    ["bias", e.bias],
    ["multiply", e.multiply],
    ["gate", e.gate],
    ["residual", e.residual === "in_place" ? undefined : e.residual],
    ["out", e.residual === "in_place" ? e.out : undefined],
  ];
  const load = e.alignedN ? load4 : load1;
  const functions = loads.flatMap(([name, dtype]) => (dtype ? [load(name, dtype)] : []));
  if (e.alignedN) functions.push(store4("out", e.out));
  else if (e.out === "bf16") functions.push(PACK_BF16);
  if (e.activation) functions.push(activationSource(e.activation));
  return /* wgsl */ `${functions.join("\n")}
fn finish(row: u32, column: u32, sum: vec4f) {
  ${lines.join("\n  ")}
}`;
}

/** Four scalar loads that stay inside of the row; columns past its end read the last one. */
function gather(name: string, index: string): string {
  return vec4Of((i) => `load_${name}((${index}) + min(${i}u, params.column_end - 1u - column))`);
}

function scatter(out: FloatDType): string {
  if (out === "f32") {
    return [0, 1, 2, 3]
      .map((i) => `if (column + ${i}u < params.column_end) { out[at + ${i}u] = v[${i}]; }`)
      .join("\n  ");
  }
  return `out[at >> 1u] = ${pack2("v.xy", out)};
  if (column + 2u < params.column_end) { out[(at >> 1u) + 1u] = ${pack2("v.zw", out)}; }`;
}
