/**
 * The matrix product of a workgroup by subgroup matrices, for every operation that is one: operands staged in workgroup
 * memory in the type that the device multiplies (f16, rounded, or f32), sums in f32 in the subgroups' matrices. The
 * operation says where operands come from and what becomes of the sums.
 *
 * Measured on an H200 (32768 x 1536 x 1536): rows in workgroup memory are 8 halves longer than their values, without them
 * it is 2/3 of the speed, with 16 0.85; values that are moved four halves at a time are a quarter faster than one at a
 * time. An array of its own for each subgroup, in which matrices lie at constant places, is slower, as are two buffers in
 * turn. The driver's checks of indices cost a third (160 instead of 227 TFLOP/s).
 */
import type { WgslExtension } from "../../kernel/kernel.js";
import { indent, lines } from "../../kernel/wgsl-text.js";
import type { FloatDType } from "../../tensor/dtype.js";

/** One product of a subgroup, with sums in f32: `m x k` by `k x n` values of `component`. */
export interface MatrixProduct {
  readonly component: "f16" | "f32";
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Threads of a subgroup. */
  readonly lanes: number;
  /** The shader asks for subgroups of `lanes`: the device has several sizes. */
  readonly asksForLanes?: true;
}

/** What is made of products of subgroups. Default: f16 by 16x16x16, subgroups of 32. */
export interface OfProduct {
  readonly product?: MatrixProduct;
}

export interface MatrixTile extends OfProduct {
  /** Rows and columns of sums that a workgroup makes. */
  readonly tileM: number;
  readonly tileN: number;
  /** Subgroups along rows and along columns; each makes a block of whole matrices. */
  readonly subgroupsM: number;
  readonly subgroupsN: number;
  /** Values of k that are staged at a time: 32 (default) or 64. */
  readonly step?: number;
}

/** What NVIDIA has, and AMD. */
export const F16_16X16X16: MatrixProduct = { component: "f16", m: 16, n: 16, k: 16, lanes: 32 };

export const MATRIX_EXTENSIONS = ["f16", "subgroups", "chromium_experimental_subgroup_matrix"] as const;

const DEFAULT_STEP = 32;
/** Values that a thread loads at a time. */
export const MATRIX_LOAD = 8;

/** Values of k that are staged at a time. */
export const matrixDepth = ({ step = DEFAULT_STEP }: MatrixTile): number => step;
export const productOf = ({ product = F16_16X16X16 }: OfProduct): MatrixProduct => product;
const loadsPerRow = (t: MatrixTile) => matrixDepth(t) / MATRIX_LOAD;
const isHalf = (t: OfProduct) => productOf(t).component === "f16";
/** Distance of rows in workgroup memory, in vectors of four values; 16 bytes more than they hold. */
const rowStride = (t: MatrixTile) => (matrixDepth(t) + (isHalf(t) ? 8 : 4)) / 4;
/** Matrices whose sums pass through workgroup memory at a time: 32 columns, 16 where many subgroups take the room. */
const sumsWide = (t: MatrixTile) => (t.subgroupsM * t.subgroupsN > 4 ? 16 : 32) / productOf(t).n;
/** Distance of rows of sums in vectors of four; two more keep the banks of eight rows apart. */
const sumsStride = (t: MatrixTile) => (sumsWide(t) * productOf(t).n) / 4 + 2;

export function matrixThreads(t: MatrixTile): number {
  return productOf(t).lanes * t.subgroupsM * t.subgroupsN;
}

/** What the shader of a product enables. */
export function matrixExtensions(t: OfProduct): readonly WgslExtension[] {
  const all: readonly WgslExtension[] = isHalf(t) ? MATRIX_EXTENSIONS : MATRIX_EXTENSIONS.slice(1);
  return productOf(t).asksForLanes ? [...all, "subgroup_size_control"] : all;
}

/** The last argument of `computeMain` for a product. */
export function matrixSubgroups(t: OfProduct): true | { readonly size: number } {
  const { lanes, asksForLanes } = productOf(t);
  return asksForLanes ? { size: lanes } : true;
}

/** Text that two different products never share; nothing for the default. */
export function productKey({ product }: OfProduct): string {
  if (!product) return "";
  const { component, m, n, k, lanes, asksForLanes } = product;
  return ` ${component} ${m}x${n}x${k} of ${lanes}${asksForLanes ? " asked" : ""}`;
}

/** Text that two different tiles never share. */
export function matrixTileKey(t: MatrixTile): string {
  return `${t.tileM}x${t.tileN} ${t.subgroupsM}x${t.subgroupsN}${t.step ? ` k${t.step}` : ""}${productKey(t)}`;
}

/** What a kernel takes of a workgroup. */
export interface MatrixNeeds {
  /** Of workgroup memory. */
  readonly bytes: number;
  readonly threads: number;
}

export const matrixNeeds = (t: MatrixTile): MatrixNeeds => ({
  bytes: matrixBytes(t),
  threads: matrixThreads(t),
});

/** Bytes of workgroup memory. */
export function matrixBytes(t: MatrixTile): number {
  const operands = (isHalf(t) ? 8 : 16) * rowStride(t) * (t.tileM + t.tileN);
  return operands + 16 * productOf(t).m * sumsStride(t) * t.subgroupsM * t.subgroupsN;
}

/** Type of a binding that `halvesOf` and `floatsOf` read. */
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

/** `fn floats_<name>(i) -> mat2x4f`: elements 8i to 8i+7 of a binding, four in each column. */
export function floatsOf(name: string, dtype: FloatDType): string {
  const head = `fn floats_${name}(i: u32) -> mat2x4f {`;
  const pairs = (one: (word: string) => string) => {
    const values = ["w.x", "w.y", "w.z", "w.w"].map(one).join(", ");
    return `${head} let w = ${name}[i]; return mat2x4f(${values}); }`;
  };
  switch (dtype) {
    case "f32":
      return `${head} return mat2x4f(${name}[2u * i], ${name}[2u * i + 1u]); }`;
    case "f16":
      return `${head} let w = ${name}[i]; return mat2x4f(vec4f(unpack2x16float(w.x), unpack2x16float(w.y)), vec4f(unpack2x16float(w.z), unpack2x16float(w.w))); }`;
    case "bf16":
      return pairs((word) => `bitcast<f32>(${word} << 16u), bitcast<f32>(${word} & 0xffff0000u)`);
    default:
      return dtype satisfies never;
  }
}

/** How a shader reads eight values: the function's text, the first word of its name, its type. */
export interface MatrixRead {
  readonly load: (name: string, dtype: FloatDType) => string;
  readonly one: string;
  readonly type: string;
}

export function matrixRead(t: OfProduct): MatrixRead {
  return isHalf(t)
    ? { load: halvesOf, one: "halves", type: "vec4u" }
    : { load: floatsOf, one: "floats", type: "mat2x4f" };
}

/** How eight values that were read lie in workgroup memory: the type of four of them, and both fours of `loaded`. */
export function matrixStaged(t: OfProduct): {
  readonly type: string;
  readonly fours: (loaded: string) => readonly [first: string, second: string];
} {
  return isHalf(t)
    ? { type: "vec4<f16>", fours: (v) => [`bitcast<vec4<f16>>(${v}.xy)`, `bitcast<vec4<f16>>(${v}.zw)`] }
    : { type: "vec4f", fours: (v) => [`${v}[0]`, `${v}[1]`] };
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
  const { m, lanes } = productOf(t);
  const stride = sumsStride(t);
  const part = m * stride;
  const rows = rowStride(t);
  const { type } = matrixStaged(t);
  return /* wgsl */ `
var<workgroup> tile_x: array<${type}, ${t.tileM * rows}>;
var<workgroup> tile_w: array<${type}, ${t.tileN * rows}>;
var<workgroup> tile_sums: array<vec4f, ${part * t.subgroupsM * t.subgroupsN}>;

// Neighbouring matrices of a subgroup (so many vectors wide), whose first sum is that of the row and column of the tile.
fn store_sums(subgroup: u32, lane: u32, wide: u32, row: u32, column: u32) {
  for (var i = lane; i < ${m}u * wide; i += ${lanes}u) {
    let r = i / wide;
    let c = i % wide;
    finish_sums(row + r, column + 4u * c, tile_sums[subgroup * ${part}u + r * ${stride}u + c]);
  }
}`;
}

/** First lines of main: the subgroup's block, the thread's place in a load, sums of zero, registers for loads. */
export function matrixStart(t: MatrixTile): string {
  const { m, n } = productOf(t);
  const [rows, columns] = block(t);
  const loads = matrixLoads(t);
  const { type } = matrixRead(t);
  return /* wgsl */ `
  let load_group = thread % ${loadsPerRow(t)}u;
  let load_at = (thread / ${loadsPerRow(t)}u) * ${rowStride(t)}u + 2u * load_group;
  let block_row = (subgroup / ${t.subgroupsN}u) * ${rows * m}u;
  let block_column = (subgroup % ${t.subgroupsN}u) * ${columns * n}u;
${lines(rows * columns, (i) => `  var s${i} = subgroup_matrix_result<f32, ${n}, ${m}>(0.0);`)}
${lines(loads.x, (i) => `  var x${i} = ${type}();`)}
${lines(loads.w, (i) => `  var w${i} = ${type}();`)}`;
}

/**
 * One step: what `x0`, `w0` and so on hold goes to workgroup memory, `next` loads the step after it, and the products are
 * added up while it travels.
 */
export function matrixStep(t: MatrixTile, next: string): string {
  const { component, m, n, k: depth } = productOf(t);
  const [rows, columns] = block(t);
  const loads = matrixLoads(t);
  const stride = rowStride(t);
  const skip = (matrixThreads(t) / loadsPerRow(t)) * stride;
  const put = (name: "x" | "w", i: number) => {
    const at = (more: number) => `tile_${name}[load_at + ${i * skip + more}u]`;
    const [first, second] = matrixStaged(t).fours(`${name}${i}`);
    const stores = `${at(0)} = ${first};\n${at(1)} = ${second};`;
    const left = (name === "x" ? t.tileM : t.tileN) * loadsPerRow(t) - i * matrixThreads(t);
    return left >= matrixThreads(t) ? stores : `if (thread < ${left}u) {\n${indent(stores, 2)}\n}`;
  };
  const products = lines(matrixDepth(t) / depth, (k) => {
    const at = (side: string, first: number) => `(${side} + ${first}u) * ${stride}u + ${(k * depth) / 4}u`;
    return `{
${lines(columns, (j) => `  let b${j} = subgroupMatrixLoad<subgroup_matrix_right<${component}, ${n}, ${depth}>, col_major>(&tile_w, ${at("block_column", j * n)}, ${stride}u);`)}
${lines(
  rows,
  (
    i,
  ) => `  let a${i} = subgroupMatrixLoad<subgroup_matrix_left<${component}, ${depth}, ${m}>, row_major>(&tile_x, ${at("block_row", i * m)}, ${stride}u);
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
  const { m, n } = productOf(t);
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
            `subgroupMatrixStore<row_major>(&tile_sums, subgroup * ${m * stride}u + ${(h * n) / 4}u, s${i * columns + most * j + h}, ${stride}u);`,
        )}
workgroupBarrier();
store_sums(subgroup, lane, ${(count * n) / 4}u, block_row + ${i * m}u, block_column + ${j * most * n}u);
workgroupBarrier();`;
      }),
    ),
    2,
  );
}

/** Matrices of a subgroup along rows and columns. */
function block(t: MatrixTile): [rows: number, columns: number] {
  const { m, n } = productOf(t);
  return [t.tileM / t.subgroupsM / m, t.tileN / t.subgroupsN / n];
}
