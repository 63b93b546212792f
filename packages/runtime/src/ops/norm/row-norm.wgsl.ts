/**
 * Shader that normalises every row of `[rows, C]`: RMS norm, L2 norm and layer norm, with weight, bias, adaptive
 * scale and shift, and an activation. Three walks over the row: mean (layer norm), spread, output. The second walk
 * sums differences from the mean, squared and plain: the plain sum corrects the rounding of the first mean, so a
 * large mean costs no precision.
 */
import { defineKernel, type Kernel, type KernelBinding } from "../../kernel/kernel.js";
import { type Activation, activationSource, elementAt, load4, store4, vec4Type } from "../../kernel/wgsl.js";
import { computeMain, flatMain, workgroupReduction } from "../../kernel/wgsl-threads.js";
import type { FloatDType } from "../../tensor/dtype.js";

export type RowNormKind = "rms" | "l2" | "layer";

/** Tables that each row is multiplied with or added to. `weight` and `bias` are `[C]`, `scale` and `shift` `[G, C]`. */
export type RowNormTable = "weight" | "bias" | "scale" | "shift";
export const ROW_NORM_TABLES: readonly RowNormTable[] = ["weight", "bias", "scale", "shift"];

/** What the shader depends on besides how threads share rows. */
export interface RowNormShape {
  readonly kind: RowNormKind;
  readonly x: FloatDType;
  readonly y: FloatDType;
  readonly tables: { readonly [name in RowNormTable]?: FloatDType };
  readonly activation?: Activation | undefined;
  readonly inPlace: boolean;
}

/** How threads share rows. */
export type RowNormVariant =
  /** Each thread makes four elements of the output and computes their rows' sums alone: for any C. */
  | { readonly kind: "elements" }
  /** A row per thread, without workgroup memory. C is a multiple of 4. */
  | { readonly kind: "rows" }
  /** `lanes` threads (a power of two up to `threads`) share a row. C is a multiple of 4. */
  | { readonly kind: "shared"; readonly lanes: number; readonly threads: number };

/** Rows of vec4f alone. */
export type WholeRowsVariant = Exclude<RowNormVariant, { readonly kind: "elements" }>;

const THREADS = 64;

/** Threads per workgroup, and how many of them a row keeps busy (0: a thread per four elements). */
export function rowNormThreads(v: RowNormVariant): { readonly threads: number; readonly perRow: number } {
  switch (v.kind) {
    case "elements":
      return { threads: THREADS, perRow: 0 };
    case "rows":
      return { threads: THREADS, perRow: 1 };
    case "shared":
      return { threads: v.threads, perRow: v.lanes };
    default:
      return v satisfies never;
  }
}

export const ROW_NORM_PARAMS = {
  rows: "u32",
  channels: "u32",
  first_row: "u32",
  rows_per_group: "u32",
  eps: "f32",
} as const;

/** Scale of a row from the sum of its squares (around the mean, for layer norm). */
function inverse(kind: RowNormKind): string {
  const n = "f32(params.channels)";
  return kind === "l2"
    ? `sqrt(${n}) / max(sqrt(squares), params.eps)`
    : `1.0 / sqrt(squares / ${n} + params.eps)`;
}

/** Lines that finish `v`; `table(name)` is the shader expression of a table's value at the same place. */
export function finish(spec: RowNormShape, table: (name: RowNormTable) => string): string {
  const lines: string[] = [];
  if (spec.tables.weight) lines.push(`v *= ${table("weight")};`);
  if (spec.tables.bias) lines.push(`v += ${table("bias")};`);
  if (spec.tables.scale) lines.push(`v *= 1.0 + ${table("scale")};`);
  if (spec.tables.shift) lines.push(`v += ${table("shift")};`);
  return lines.join("\n    ");
}

export function rowNormKernel(spec: RowNormShape, variant: RowNormVariant): Kernel<typeof ROW_NORM_PARAMS> {
  const { kind, inPlace, activation } = spec;
  const used = ROW_NORM_TABLES.filter((name) => spec.tables[name]);
  const bindings: KernelBinding[] = inPlace ? [] : [{ name: "x", type: vec4Type(spec.x), access: "read" }];
  for (const name of used) bindings.push({ name, type: vec4Type(spec.tables[name]!), access: "read" });
  bindings.push({ name: "y", type: vec4Type(spec.y), access: "read_write" });
  const tables = used.map((name) => `${name}-${spec.tables[name]}`).join("-");
  return defineKernel({
    inBounds: true,
    name: `${kind}_norm`,
    key: `${spec.x},${spec.y},${tables},${activation ?? ""},${variantKey(variant)}${inPlace ? ",in-place" : ""}`,
    bindings,
    params: ROW_NORM_PARAMS,
    body: () => /* wgsl */ `
${inPlace ? load4("y", spec.y) : load4("x", spec.x)}
${store4("y", spec.y)}
${used.map((name) => load4(name, spec.tables[name]!)).join("\n")}
${activation ? activationSource(activation) : ""}
${mainSource(spec, variant, used)}`,
  });
}

export function variantKey(v: RowNormVariant): string {
  return v.kind === "shared" ? `${v.lanes} of ${v.threads}` : v.kind;
}

function mainSource(spec: RowNormShape, v: RowNormVariant, used: readonly RowNormTable[]): string {
  if (v.kind === "elements") return perElement(spec, used);
  return rowMain(spec, v, (start, stride) => writeRow(spec, start, stride));
}

const input = (spec: RowNormShape) => (spec.inPlace ? "y" : "x");

/** The walks over a row by `stride` threads, of which this is `start`; `sum` reduces two vec4f of a thread over the row. */
function walks(
  spec: RowNormShape,
  start: string,
  stride: string,
  sum: (a: string, b: string) => string,
): string {
  const load = `load4_${input(spec)}`;
  const loop = `for (var j = ${start}; j < width; j += ${stride})`;
  const layer = spec.kind === "layer";
  return /* wgsl */ `
  let width = params.channels >> 2u;
  let base = row * width;
${
  layer
    ? `  var total = vec4f(0.0);
  ${loop} { total += ${load}(base + j); }
  let rough = ${sum("total", "vec4f(0.0)")}.x / f32(params.channels);
  var rest = vec4f(0.0);`
    : "  let rough = 0.0;"
}
  var square = vec4f(0.0);
  ${loop} { let d = ${load}(base + j) - rough; square += d * d; ${layer ? "rest += d;" : ""} }
${
  layer
    ? `  let both = ${sum("rest", "square")};
  let correction = both.x / f32(params.channels);
  let squares = both.y - correction * both.x;`
    : `  let correction = 0.0;
  let squares = ${sum("square", "vec4f(0.0)")}.x;`
}
  let scaling = ${inverse(spec.kind)};`;
}

/** The sums of the components of two vec4f. */
function componentSums(a: string, b: string): string {
  return `vec2f(dot(${a}, vec4f(1.0)), dot(${b}, vec4f(1.0)))`;
}

function writeRow(spec: RowNormShape, start: string, stride: string): string {
  const grouped = spec.tables.scale || spec.tables.shift;
  return /* wgsl */ `
  ${grouped ? "let table = ((params.first_row + row) / params.rows_per_group) * width;" : ""}
  for (var j = ${start}; j < width; j += ${stride}) {
    var v = (load4_${input(spec)}(base + j) - rough - correction) * scaling;
    ${finish(spec, (name) => `load4_${name}(${name === "scale" || name === "shift" ? "table + j" : "j"})`)}
    ${spec.activation ? `v = act_${spec.activation}(v);` : ""}
    store4_y(base + j, v);
  }`;
}

/** The write of a row by `stride` threads, of which this is `start`. */
type WriteRow = (start: string, stride: string) => string;

/** Main function of threads that share rows as `v` says: the walks of a norm, then `write`. */
export function rowMain(spec: RowNormShape, v: WholeRowsVariant, write: WriteRow): string {
  if (v.kind === "rows") {
    return flatMain(
      /* wgsl */ `
  let row = i;
  if (row >= params.rows) { return; }
${walks(spec, "0u", "1u", componentSums)}
${write("0u", "1u")}`,
      THREADS,
    );
  }
  const { lanes, threads } = v;
  return /* wgsl */ `${workgroupReduction({ name: "row_sum", type: "vec2f", threads, lanes })}
${computeMain(
  threads,
  /* wgsl */ `
  let lane = thread & ${lanes - 1}u;
  let wanted = workgroup * ${threads / lanes}u + thread / ${lanes}u;
  // Threads past the end compute the last row again, because barriers need all of them, and write nothing.
  let row = min(wanted, params.rows - 1u);
${walks(spec, "lane", `${lanes}u`, (a, b) => `row_sum(thread, ${componentSums(a, b)})`)}
  if (wanted >= params.rows) { return; }
${write("lane", `${lanes}u`)}`,
)}`;
}

function perElement(spec: RowNormShape, used: readonly RowNormTable[]): string {
  const at = `at_${input(spec)}`;
  return /* wgsl */ `
${elementAt(input(spec))}
${used.map(elementAt).join("\n")}
fn normalised(e: u32) -> f32 {
  let row = e / params.channels;
  let c = e - row * params.channels;
  let base = row * params.channels;
  var rough = 0.0;
  ${spec.kind === "layer" ? `for (var j = 0u; j < params.channels; j++) { rough += ${at}(base + j); } rough /= f32(params.channels);` : ""}
  var squares = 0.0;
  var rest = 0.0;
  for (var j = 0u; j < params.channels; j++) { let d = ${at}(base + j) - rough; squares += d * d; rest += d; }
  ${spec.kind === "layer" ? "let correction = rest / f32(params.channels); squares -= correction * rest;" : "let correction = 0.0;"}
  var v = (${at}(e) - rough - correction) * (${inverse(spec.kind)});
  let table = ((params.first_row + row) / params.rows_per_group) * params.channels + c;
  ${finish(spec, (name) => `at_${name}(${name === "scale" || name === "shift" ? "table" : "c"})`)}
  return v;
}
${flatMain(
  /* wgsl */ `
  let count = params.rows * params.channels;
  if (i * 4u >= count) { return; }
  var v = vec4f(0.0);
  for (var k = 0u; k < 4u; k++) { if (i * 4u + k < count) { v[k] = normalised(i * 4u + k); } }
  ${spec.activation ? `v = act_${spec.activation}(v);` : ""}
  store4_y(i, v);`,
  THREADS,
)}`;
}
