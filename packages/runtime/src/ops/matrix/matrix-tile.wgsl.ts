/**
 * The matrix product of a workgroup by subgroup matrices, for every operation that is one: operands rounded to f16 and
 * staged in workgroup memory, sums in f32 in the subgroups' matrices. The operation says where operands come from and
 * what becomes of the sums.
 *
 * Measured on an H200 (32768 x 1536 x 1536): rows in workgroup memory are 8 halves longer than their values, without them
 * it is 2/3 of the speed, with 16 0.85; values that are moved four halves at a time are a quarter faster than one at a
 * time. An array of its own for each subgroup, in which matrices lie at constant places, is slower, as are two buffers in
 * turn. The driver's checks of indices cost a third (160 instead of 227 TFLOP/s).
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
  /** Values of k that are staged at a time: 32 (default) or 64. */
  readonly step?: number;
}

export const MATRIX_EXTENSIONS = ["f16", "subgroups", "chromium_experimental_subgroup_matrix"] as const;

const DEFAULT_STEP = 32;
/** Rows, columns and depth of one subgroup matrix. */
const SIDE = 16;
const LANES = 32;
/** Values that a thread loads at a time. */
export const MATRIX_LOAD = 8;

/** Values of k that are staged at a time. */
export const matrixDepth = ({ step = DEFAULT_STEP }: MatrixTile): number => step;
const loadsPerRow = (t: MatrixTile) => matrixDepth(t) / MATRIX_LOAD;
/** Distance of rows in workgroup memory, in vectors of four halves. */
const rowStride = (t: MatrixTile) => (matrixDepth(t) + 8) / 4;
/** Sums pass through workgroup memory two matrices at a time, one where many subgroups take the room. */
const sumsWide = (t: MatrixTile) => (t.subgroupsM * t.subgroupsN > 4 ? 1 : 2);
/** Distance of rows of sums in vectors of four; two more keep the banks of eight rows apart. */
const sumsStride = (t: MatrixTile) => (sumsWide(t) * SIDE) / 4 + 2;

export function matrixThreads({ subgroupsM, subgroupsN }: MatrixTile): number {
  return LANES * subgroupsM * subgroupsN;
}

/** Bytes of workgroup memory. */
export function matrixBytes(t: MatrixTile): number {
  const operands = 8 * rowStride(t) * (t.tileM + t.tileN);
  return operands + 16 * SIDE * sumsStride(t) * t.subgroupsM * t.subgroupsN;
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
    x: Math.ceil((t.tileM * loadsPerRow(t)) / threads),
    w: Math.ceil((t.tileN * loadsPerRow(t)) / threads),
  };
}

/** Row in the tile of a thread's load `i`; `load_group`, 0 to 3, is the group of eight values in the step. */
export function matrixLoadRow(t: MatrixTile, i: number): string {
  return `thread / ${loadsPerRow(t)}u + ${(i * matrixThreads(t)) / loadsPerRow(t)}u`;
}

/** Workgroup memory, and `store_sums`, which needs `finish_sums(row, column, sum: vec4f)` with places in the tile. */
export function matrixDeclarations(t: MatrixTile): string {
  const stride = sumsStride(t);
  const part = SIDE * stride;
  const rows = rowStride(t);
  return /* wgsl */ `
var<workgroup> tile_x: array<vec4<f16>, ${t.tileM * rows}>;
var<workgroup> tile_w: array<vec4<f16>, ${t.tileN * rows}>;
var<workgroup> tile_sums: array<vec4f, ${part * t.subgroupsM * t.subgroupsN}>;

// One or two matrices of a subgroup (4 or 8 vectors wide), whose first sum is that of the row and column of the tile.
fn store_sums(subgroup: u32, lane: u32, wide: u32, row: u32, column: u32) {
  for (var i = lane; i < ${SIDE}u * wide; i += ${LANES}u) {
    let r = i / wide;
    let c = i % wide;
    finish_sums(row + r, column + 4u * c, tile_sums[subgroup * ${part}u + r * ${stride}u + c]);
  }
}`;
}

/** First lines of main: the subgroup's block, the thread's place in a load, sums of zero, registers for loads. */
export function matrixStart(t: MatrixTile): string {
  const [rows, columns] = block(t);
  const loads = matrixLoads(t);
  return /* wgsl */ `
  let load_group = thread % ${loadsPerRow(t)}u;
  let load_at = (thread / ${loadsPerRow(t)}u) * ${rowStride(t)}u + 2u * load_group;
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
  const stride = rowStride(t);
  const skip = (matrixThreads(t) / loadsPerRow(t)) * stride;
  const put = (name: "x" | "w", i: number) => {
    const at = (more: number) => `tile_${name}[load_at + ${i * skip + more}u]`;
    const stores = `${at(0)} = bitcast<vec4<f16>>(${name}${i}.xy);
${at(1)} = bitcast<vec4<f16>>(${name}${i}.zw);`;
    const left = (name === "x" ? t.tileM : t.tileN) * loadsPerRow(t) - i * matrixThreads(t);
    return left >= matrixThreads(t) ? stores : `if (thread < ${left}u) {\n${indent(stores, 2)}\n}`;
  };
  const products = lines(matrixDepth(t) / SIDE, (k) => {
    const at = (side: string, i: number) => `(${side} + ${i * SIDE}u) * ${stride}u + ${(k * SIDE) / 4}u`;
    return `{
${lines(columns, (j) => `  let b${j} = subgroupMatrixLoad<subgroup_matrix_right<f16, ${SIDE}, ${SIDE}>, col_major>(&tile_w, ${at("block_column", j)}, ${stride}u);`)}
${lines(
  rows,
  (
    i,
  ) => `  let a${i} = subgroupMatrixLoad<subgroup_matrix_left<f16, ${SIDE}, ${SIDE}>, row_major>(&tile_x, ${at("block_row", i)}, ${stride}u);
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
  const stride = sumsStride(t);
  const most = sumsWide(t);
  return indent(
    lines(rows, (i) =>
      lines(Math.ceil(columns / most), (j) => {
        const count = Math.min(most, columns - most * j);
        return `${lines(
          count,
          (h) =>
            `subgroupMatrixStore<row_major>(&tile_sums, subgroup * ${SIDE * stride}u + ${(h * SIDE) / 4}u, s${i * columns + most * j + h}, ${stride}u);`,
        )}
workgroupBarrier();
store_sums(subgroup, lane, ${(count * SIDE) / 4}u, block_row + ${i * SIDE}u, block_column + ${j * most * SIDE}u);
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
