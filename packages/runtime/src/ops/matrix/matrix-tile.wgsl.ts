/**
 * The matrix product of a workgroup by subgroup matrices, for every operation that is one: operands rounded to f16 and
 * staged in workgroup memory, sums in f32 in the subgroups' matrices. The operation says where operands come from and
 * what becomes of the sums.
 *
 * Measured on an H200 (32768 x 1536 x 1536): rows in workgroup memory are 8 halves longer than their values, without them
 * it is 2/3 of the speed, with 16 0.85; values that are moved four halves at a time are a quarter faster than one at a
 * time. An array of its own for each subgroup, in which matrices lie at constant places, is slower (152 instead of 161
 * TFLOP/s), as are two buffers in turn.
 */
import { indent, lines } from "../../kernel/wgsl-text.js";
import type { FloatDType } from "../../tensor/dtype.js";

export interface MatrixTile {
  /** Rows and columns of sums that a workgroup makes. */
  readonly tileM: number;
  readonly tileN: number;
  /** Subgroups along rows and along columns; each makes a block of whole matrices. */
  readonly subgroupsM: number;
  readonly subgroupsN: number;
}

export const MATRIX_EXTENSIONS = ["f16", "subgroups", "chromium_experimental_subgroup_matrix"] as const;

/** Values of k that are staged at a time. */
export const MATRIX_STEP = 32;
/** Rows, columns and depth of one subgroup matrix. */
const SIDE = 16;
const LANES = 32;
/** Distance of rows in workgroup memory, in vectors of four halves. */
const STRIDE = (MATRIX_STEP + 8) / 4;
/** Sums pass through workgroup memory two matrices at a time; four more keep banks apart. */
const SUMS_WIDTH = 2 * SIDE;
const SUMS_STRIDE = SUMS_WIDTH + 4;
/** Values that a thread loads at a time. */
export const MATRIX_LOAD = 8;
const LOADS_PER_ROW = MATRIX_STEP / MATRIX_LOAD;

export function matrixThreads({ subgroupsM, subgroupsN }: MatrixTile): number {
  return LANES * subgroupsM * subgroupsN;
}

/** Bytes of workgroup memory. */
export function matrixBytes(t: MatrixTile): number {
  return 8 * STRIDE * (t.tileM + t.tileN) + 4 * SIDE * SUMS_STRIDE * t.subgroupsM * t.subgroupsN;
}

/** Type of a binding that `halvesOf` reads. */
export function matrixOperandType(dtype: FloatDType): string {
  return dtype === "f32" ? "array<vec4f>" : "array<vec4u>";
}

/** `fn halves_<name>(i) -> vec4u`: elements 8i to 8i+7 of a binding, rounded to f16. */
export function halvesOf(name: string, dtype: FloatDType): string {
  const head = `fn halves_${name}(i: u32) -> vec4u {`;
  const both = (low: string, high: string) =>
    `vec4u(bitcast<vec2u>(vec4<f16>(${low})), bitcast<vec2u>(vec4<f16>(${high})))`;
  switch (dtype) {
    case "f16":
      return `${head} return ${name}[i]; }`;
    case "f32":
      return `${head} return ${both(`${name}[2u * i]`, `${name}[2u * i + 1u]`)}; }`;
    case "bf16": {
      const widened = (a: string, b: string) =>
        `bitcast<vec4f>(vec4u(w.${a} << 16u, w.${a} & 0xffff0000u, w.${b} << 16u, w.${b} & 0xffff0000u))`;
      return `${head} let w = ${name}[i]; return ${both(widened("x", "y"), widened("z", "w"))}; }`;
    }
    default:
      return dtype satisfies never;
  }
}

/** Loads per thread and step of one operand; in the last one only the first threads may have a row. */
export function matrixLoads(t: MatrixTile): { readonly x: number; readonly w: number } {
  const threads = matrixThreads(t);
  return {
    x: Math.ceil((t.tileM * LOADS_PER_ROW) / threads),
    w: Math.ceil((t.tileN * LOADS_PER_ROW) / threads),
  };
}

/** Row in the tile of a thread's load `i`; `load_group`, 0 to 3, is the group of eight values in the step. */
export function matrixLoadRow(t: MatrixTile, i: number): string {
  return `thread / ${LOADS_PER_ROW}u + ${(i * matrixThreads(t)) / LOADS_PER_ROW}u`;
}

/** Workgroup memory, and `store_sums`, which needs `finish_sums(row, column, sum: vec4f)` with places in the tile. */
export function matrixDeclarations(t: MatrixTile): string {
  const part = SIDE * SUMS_STRIDE;
  return /* wgsl */ `
var<workgroup> tile_x: array<vec4<f16>, ${t.tileM * STRIDE}>;
var<workgroup> tile_w: array<vec4<f16>, ${t.tileN * STRIDE}>;
var<workgroup> tile_sums: array<f32, ${part * t.subgroupsM * t.subgroupsN}>;

// One or two matrices of a subgroup (width 16 or 32), whose first sum is that of the row and column of the tile.
fn store_sums(subgroup: u32, lane: u32, width: u32, row: u32, column: u32) {
  for (var i = lane; i < ${SIDE / 4}u * width; i += ${LANES}u) {
    let r = 4u * i / width;
    let c = 4u * i % width;
    let at = subgroup * ${part}u + r * ${SUMS_STRIDE}u + c;
    finish_sums(row + r, column + c, vec4f(tile_sums[at], tile_sums[at + 1u], tile_sums[at + 2u], tile_sums[at + 3u]));
  }
}`;
}

/** First lines of main: the subgroup's block, the thread's place in a load, sums of zero, registers for loads. */
export function matrixStart(t: MatrixTile): string {
  const [rows, columns] = block(t);
  const loads = matrixLoads(t);
  return /* wgsl */ `
  let load_group = thread % ${LOADS_PER_ROW}u;
  let load_at = (thread / ${LOADS_PER_ROW}u) * ${STRIDE}u + 2u * load_group;
  let block_row = (subgroup / ${t.subgroupsN}u) * ${rows * SIDE}u;
  let block_column = (subgroup % ${t.subgroupsN}u) * ${columns * SIDE}u;
${lines(rows * columns, (i) => `  var s${i} = subgroup_matrix_result<f32, ${SIDE}, ${SIDE}>(0.0);`)}
${lines(loads.x, (i) => `  var x${i} = vec4u();`)}
${lines(loads.w, (i) => `  var w${i} = vec4u();`)}`;
}

/**
 * One step: what `x0`, `w0` and so on hold goes to workgroup memory, `next` loads the step after it, and the products are
 * added up while it travels.
 */
export function matrixStep(t: MatrixTile, next: string): string {
  const [rows, columns] = block(t);
  const loads = matrixLoads(t);
  const skip = (matrixThreads(t) / LOADS_PER_ROW) * STRIDE;
  const put = (name: "x" | "w", i: number) => {
    const stores = `tile_${name}[load_at + ${i * skip}u] = bitcast<vec4<f16>>(${name}${i}.xy);
tile_${name}[load_at + ${i * skip + 1}u] = bitcast<vec4<f16>>(${name}${i}.zw);`;
    const left = (name === "x" ? t.tileM : t.tileN) * LOADS_PER_ROW - i * matrixThreads(t);
    return left >= matrixThreads(t) ? stores : `if (thread < ${left}u) {\n${indent(stores, 2)}\n}`;
  };
  const products = lines(MATRIX_STEP / SIDE, (k) => {
    const at = (side: string, i: number) => `(${side} + ${i * SIDE}u) * ${STRIDE}u + ${(k * SIDE) / 4}u`;
    return `{
${lines(columns, (j) => `  let b${j} = subgroupMatrixLoad<subgroup_matrix_right<f16, ${SIDE}, ${SIDE}>, col_major>(&tile_w, ${at("block_column", j)}, ${STRIDE}u);`)}
${lines(
  rows,
  (
    i,
  ) => `  let a${i} = subgroupMatrixLoad<subgroup_matrix_left<f16, ${SIDE}, ${SIDE}>, row_major>(&tile_x, ${at("block_row", i)}, ${STRIDE}u);
${lines(columns, (j) => `  s${i * columns + j} = subgroupMatrixMultiplyAccumulate(a${i}, b${j}, s${i * columns + j});`)}`,
)}
}`;
  });
  return indent(
    `${lines(loads.x, (i) => put("x", i))}
${lines(loads.w, (i) => put("w", i))}
workgroupBarrier();
${next}
${products}
workgroupBarrier();`,
    4,
  );
}

/** After the last step: every sum to `finish_sums`. */
export function matrixFinish(t: MatrixTile): string {
  const [rows, columns] = block(t);
  return indent(
    lines(rows, (i) =>
      lines(Math.ceil(columns / 2), (j) => {
        const count = Math.min(2, columns - 2 * j);
        return `${lines(
          count,
          (h) =>
            `subgroupMatrixStore<row_major>(&tile_sums, subgroup * ${SIDE * SUMS_STRIDE}u + ${h * SIDE}u, s${i * columns + 2 * j + h}, ${SUMS_STRIDE}u);`,
        )}
workgroupBarrier();
store_sums(subgroup, lane, ${count * SIDE}u, block_row + ${i * SIDE}u, block_column + ${j * SUMS_WIDTH}u);
workgroupBarrier();`;
      }),
    ),
    2,
  );
}

/** Matrices of a subgroup along rows and columns. */
function block(t: MatrixTile): [rows: number, columns: number] {
  return [t.tileM / t.subgroupsM / SIDE, t.tileN / t.subgroupsN / SIDE];
}
