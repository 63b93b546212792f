/** Shaders of `linear`: pure functions of typed parameters. */
import { defineKernel, type Kernel, type KernelBinding, LINEAR_WORKGROUP } from "../../kernel/kernel.js";
import { load1, load4, scalarType, vec4Type } from "../../kernel/wgsl.js";
import type { FloatDType } from "../../tensor/dtype.js";
import { type EpilogueShape, epilogueBindings, epilogueKey, epilogueSource } from "./linear-epilogue.wgsl.js";
import type { LinearVariant, TileShape } from "./linear-plan.js";

export interface LinearShaderShape extends EpilogueShape {
  readonly x: FloatDType;
  readonly weight: FloatDType;
  /** K is a multiple of 4: rows of x and of the weight are read four values at a time. */
  readonly alignedK: boolean;
}

/** All counts are elements. The weight binding holds rows `column_start` to `column_end` of the whole weight. */
export const LINEAR_PARAMS = {
  m: "u32",
  n: "u32",
  k: "u32",
  column_start: "u32",
  column_end: "u32",
  first_row: "u32",
  gate_rows: "u32",
} as const;

/** Bindings: x, weight, then those of the epilogue. */
export function linearKernel(shape: LinearShaderShape, variant: LinearVariant): Kernel<typeof LINEAR_PARAMS> {
  const type = shape.alignedK ? vec4Type : scalarType;
  const bindings: KernelBinding[] = [
    { name: "x", type: type(shape.x), access: "read" },
    { name: "weight", type: type(shape.weight), access: "read" },
    ...epilogueBindings(shape),
  ];
  const { kind, ...numbers } = variant;
  const sizes = Object.values(numbers).join("x");
  return defineKernel({
    name: "linear",
    key: `${kind} ${sizes} x:${shape.x} w:${shape.weight}${shape.alignedK ? " k4" : ""} ${epilogueKey(shape)}`,
    bindings,
    params: LINEAR_PARAMS,
    body: () => [LINEAR_WORKGROUP, loads(shape), epilogueSource(shape), tileSource(variant)].join("\n"),
  });
}

/** `x_at(row, k4)` and `weight_at(row, k4)`: values 4 k4 to 4 k4 + 3 of a row of the binding, 0 past its end. */
function loads(shape: LinearShaderShape): string {
  const one = (name: "x" | "weight", dtype: FloatDType, rows: string) => {
    const head = `fn ${name}_at(row: u32, k4: u32) -> vec4f {
  let k = 4u * k4;
  if (row >= ${rows} || k >= params.k) { return vec4f(0.0); }`;
    if (shape.alignedK)
      return `${load4(name, dtype)}\n${head}\n  return load4_${name}(row * (params.k >> 2u) + k4);\n}`;
    return `${load1(name, dtype)}
${head}
  let at = row * params.k + k;
  let last = params.k - 1u - k;
  return vec4f(
    load_${name}(at),
    select(0.0, load_${name}(at + min(1u, last)), last >= 1u),
    select(0.0, load_${name}(at + min(2u, last)), last >= 2u),
    select(0.0, load_${name}(at + min(3u, last)), last >= 3u));
}`;
  };
  return `${one("x", shape.x, "params.m")}\n${one("weight", shape.weight, "(params.column_end - params.column_start)")}`;
}

/**
 * One workgroup per output tile. Both operands are staged in workgroup memory k-major, so that a thread reads four
 * rows or four columns of one k as a vec4; threads transpose 4 x 4 blocks in registers on the way in.
 */
function tileSource(t: TileShape): string {
  const threadsN = t.tileN / t.threadN;
  const threadsM = t.tileM / t.threadM;
  const threads = threadsN * threadsM;
  const rowGroups = t.threadM / 4;
  const columnGroups = t.threadN / 4;
  const k4 = t.stepK / 4;
  const strideX = t.tileM / 4;
  const strideW = t.tileN / 4;
  const each = (n: number, text: (i: number) => string) =>
    Array.from({ length: n }, (_, i) => text(i)).join("\n");
  const sum = (row: number, group: number) => `sum_${row}_${group}`;

  const stage = (name: "x" | "weight", tile: string, extent: number, origin: string) => {
    const blocks = (extent / 4) * k4;
    return `    for (var b = l; b < ${blocks}u; b += ${threads}u) {
      let kb = b % ${k4}u;
      let rb = b / ${k4}u;
      let row = ${origin} + 4u * rb;
      let k = (k0 >> 2u) + kb;
      let t = transpose(mat4x4f(${name}_at(row, k), ${name}_at(row + 1u, k), ${name}_at(row + 2u, k), ${name}_at(row + 3u, k)));
      let at = kb * ${extent}u + rb;
      ${tile}[at] = t[0];
      ${tile}[at + ${extent / 4}u] = t[1];
      ${tile}[at + ${extent / 2}u] = t[2];
      ${tile}[at + ${(extent / 4) * 3}u] = t[3];
    }`;
  };

  return `
var<workgroup> tile_x: array<vec4f, ${t.stepK * strideX}>;
var<workgroup> tile_w: array<vec4f, ${t.stepK * strideW}>;

@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) l: u32) {
  let columns = params.column_end - params.column_start;
  let tiles_m = (params.m + ${t.tileM - 1}u) / ${t.tileM}u;
  let tiles_n = (columns + ${t.tileN - 1}u) / ${t.tileN}u;
  let index = linear_workgroup(group, grid);
  if (index >= tiles_m * tiles_n) { return; }
  // Neighbouring workgroups share rows of the weight: 8 tiles of rows at a time, so that both operands stay cached.
  let band = index / (8u * tiles_n);
  let band_rows = min(8u, tiles_m - 8u * band);
  let inside = index % (8u * tiles_n);
  let row0 = (8u * band + inside % band_rows) * ${t.tileM}u;
  let column0 = (inside / band_rows) * ${t.tileN}u;
  let tx = l % ${threadsN}u;
  let ty = l / ${threadsN}u;
${each(t.threadM, (r) => each(columnGroups, (c) => `  var ${sum(r, c)} = vec4f(0.0);`))}
  for (var k0 = 0u; k0 < params.k; k0 += ${t.stepK}u) {
${stage("x", "tile_x", t.tileM, "row0")}
${stage("weight", "tile_w", t.tileN, "column0")}
    workgroupBarrier();
    for (var k = 0u; k < ${t.stepK}u; k++) {
${each(rowGroups, (i) => `      let a${i} = tile_x[k * ${strideX}u + ty + ${i * threadsM}u];`)}
${each(columnGroups, (c) => `      let b${c} = tile_w[k * ${strideW}u + tx + ${c * threadsN}u];`)}
${each(t.threadM, (r) => each(columnGroups, (c) => `      ${sum(r, c)} += a${r >> 2}[${r & 3}] * b${c};`))}
    }
    workgroupBarrier();
  }
${each(t.threadM, (r) =>
  each(columnGroups, (c) => {
    const row = `row0 + 4u * (ty + ${(r >> 2) * threadsM}u) + ${r & 3}u`;
    const column = `column0 + 4u * (tx + ${c * threadsN}u)`;
    return `  if (${row} < params.m && ${column} < columns) { finish(${row}, params.column_start + ${column}, ${sum(r, c)}); }`;
  }),
)}
}`;
}
