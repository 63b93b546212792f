/**
 * Shader that normalises every row of `[rows, C]`: RMS norm, L2 norm and layer norm, with weight, bias, adaptive
 * scale and shift, and an activation. Three walks over the row: mean (layer norm), spread, output. The second walk
 * sums differences from the mean, squared and plain: the plain sum corrects the rounding of the first mean, so a
 * large mean costs no precision.
 */
import { defineKernel, type KernelBinding } from "../../kernel/kernel.js";
import { type Activation, activationSource, load4, store4, vec4Type } from "../../kernel/wgsl.js";
import type { FloatDType } from "../../tensor/dtype.js";
import { elementAt, flatMain } from "../element-access.js";

export type RowNormKind = "rms" | "l2" | "layer";

/** Tables that each row is multiplied with or added to. `weight` and `bias` are `[C]`, `scale` and `shift` `[G, C]`. */
export type RowNormTable = "weight" | "bias" | "scale" | "shift";
export const ROW_NORM_TABLES: readonly RowNormTable[] = ["weight", "bias", "scale", "shift"];

export interface RowNormSpec {
  readonly kind: RowNormKind;
  readonly x: FloatDType;
  readonly y: FloatDType;
  readonly tables: { readonly [name in RowNormTable]?: FloatDType };
  readonly activation?: Activation | undefined;
  readonly inPlace: boolean;
  /**
   * Threads that share a row, a power of two up to the workgroup size; 1: no workgroup memory. 0: C is not a
   * multiple of 4, every thread makes four elements of the output and computes their rows' sums alone.
   */
  readonly lanes: number;
  readonly workgroupSize: number;
}

export const ROW_NORM_PARAMS = {
  rows: "u32",
  channels: "u32",
  firstRow: "u32",
  rowsPerGroup: "u32",
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
function finish(spec: RowNormSpec, table: (name: RowNormTable) => string): string {
  const lines: string[] = [];
  if (spec.tables.weight) lines.push(`v *= ${table("weight")};`);
  if (spec.tables.bias) lines.push(`v += ${table("bias")};`);
  if (spec.tables.scale) lines.push(`v *= 1.0 + ${table("scale")};`);
  if (spec.tables.shift) lines.push(`v += ${table("shift")};`);
  return lines.join("\n    ");
}

export function rowNormKernel(spec: RowNormSpec) {
  const { kind, inPlace, lanes, activation } = spec;
  const used = ROW_NORM_TABLES.filter((name) => spec.tables[name]);
  const bindings: KernelBinding[] = inPlace ? [] : [{ name: "x", type: vec4Type(spec.x), access: "read" }];
  for (const name of used) bindings.push({ name, type: vec4Type(spec.tables[name]!), access: "read" });
  bindings.push({ name: "y", type: vec4Type(spec.y), access: "read_write" });
  const tables = used.map((name) => `${name}-${spec.tables[name]}`).join("-");
  return defineKernel({
    name: `${kind}_norm`,
    key: `${spec.x},${spec.y},${tables},${activation ?? ""},${lanes}x${spec.workgroupSize}${inPlace ? ",in-place" : ""}`,
    bindings,
    params: ROW_NORM_PARAMS,
    body: () => /* wgsl */ `
${inPlace ? load4("y", spec.y) : load4("x", spec.x)}
${store4("y", spec.y)}
${used.map((name) => load4(name, spec.tables[name]!)).join("\n")}
${activation ? activationSource(activation) : ""}
${lanes === 0 ? perElement(spec, used) : lanes === 1 ? rowPerThread(spec) : rowPerLanes(spec)}`,
  });
}

const input = (spec: RowNormSpec) => (spec.inPlace ? "y" : "x");

/** The walks over a row by `stride` threads, of which this is `start`; `sum` reduces two vec4f of a thread over the row. */
function walks(
  spec: RowNormSpec,
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

function writeRow(spec: RowNormSpec, start: string, stride: string): string {
  const grouped = spec.tables.scale || spec.tables.shift;
  return /* wgsl */ `
  ${grouped ? "let table = ((params.firstRow + row) / params.rowsPerGroup) * width;" : ""}
  for (var j = ${start}; j < width; j += ${stride}) {
    var v = (load4_${input(spec)}(base + j) - rough - correction) * scaling;
    ${finish(spec, (name) => `load4_${name}(${name === "scale" || name === "shift" ? "table + j" : "j"})`)}
    ${spec.activation ? `v = act_${spec.activation}(v);` : ""}
    store4_y(base + j, v);
  }`;
}

function rowPerThread(spec: RowNormSpec): string {
  return flatMain(
    /* wgsl */ `
  let row = i;
  if (row >= params.rows) { return; }
${walks(spec, "0u", "1u", componentSums)}
${writeRow(spec, "0u", "1u")}`,
    spec.workgroupSize,
  );
}

function rowPerLanes(spec: RowNormSpec): string {
  const { lanes, workgroupSize } = spec;
  return /* wgsl */ `
var<workgroup> partial: array<vec2f, ${workgroupSize}>;
// Sums over the ${lanes} threads that share a row. Called by all threads together.
fn row_sum(thread: u32, value: vec2f) -> vec2f {
  partial[thread] = value;
  workgroupBarrier();
  for (var s = ${lanes / 2}u; s > 0u; s >>= 1u) {
    if ((thread & ${lanes - 1}u) < s) { partial[thread] += partial[thread + s]; }
    workgroupBarrier();
  }
  let sum = partial[thread & ~${lanes - 1}u];
  workgroupBarrier();
  return sum;
}
fn linear_workgroup(id: vec3u, grid: vec3u) -> u32 { return id.x + id.y * grid.x; }
@compute @workgroup_size(${workgroupSize})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32) {
  let lane = thread & ${lanes - 1}u;
  let wanted = linear_workgroup(group, grid) * ${workgroupSize / lanes}u + thread / ${lanes}u;
  // Threads past the end compute the last row again, because barriers need all of them, and write nothing.
  let row = min(wanted, params.rows - 1u);
${walks(spec, "lane", `${lanes}u`, (a, b) => `row_sum(thread, ${componentSums(a, b)})`)}
  if (wanted >= params.rows) { return; }
${writeRow(spec, "lane", `${lanes}u`)}
}`;
}

function perElement(spec: RowNormSpec, used: readonly RowNormTable[]): string {
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
  let table = ((params.firstRow + row) / params.rowsPerGroup) * params.channels + c;
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
  spec.workgroupSize,
)}`;
}
