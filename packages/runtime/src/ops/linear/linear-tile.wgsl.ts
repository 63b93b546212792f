/** The tiled matrix product for GPUs: operands staged in workgroup memory, a block of sums per thread. */
import { forEachSum, indent, lines, opaque } from "../../kernel/wgsl-text.js";
import { computeMain } from "../../kernel/wgsl-threads.js";
import type { TileShape } from "./linear-variant.js";

/**
 * One workgroup per output tile. Both operands are staged k-major, so that a thread reads four rows or four columns
 * of one k as a vec4; threads transpose 4 x 4 blocks in registers on the way in. Operands that are stored as f16 may
 * be staged as f16, which loses nothing; sums are f32.
 */
export function tileSource(t: TileShape): string {
  const threadsN = t.tileN / t.threadN;
  const threadsM = t.tileM / t.threadM;
  const threads = threadsN * threadsM;
  const rowGroups = t.threadM / 4;
  const columnGroups = t.threadN / 4;
  const strideX = t.tileM / 4;
  const strideW = t.tileN / 4;
  const sums = t.threadM * columnGroups;
  const typeX = t.halfX ? "vec4<f16>" : "vec4f";
  const typeW = t.halfW ? "vec4<f16>" : "vec4f";
  const deep = t.stepK / 4;
  const blocksX = strideX * deep;
  /** 4 x 4 blocks that each thread moves per step. */
  const moves = (blocksX + strideW * deep) / threads;
  const fetch = (k: string) =>
    lines(moves, (i) => `block${i} = fetch(thread + ${i * threads}u, tile, last, ${k});`);

  return /* wgsl */ `
var<workgroup> tile_x: array<${typeX}, ${t.stepK * strideX}>;
var<workgroup> tile_w: array<${typeW}, ${t.stepK * strideW}>;

fn fetch(b: u32, tile: vec2u, last: vec2u, k0: u32) -> mat4x4f {
  let k4 = (k0 >> 2u) + b % ${deep}u;
  if (4u * k4 >= params.k) { return mat4x4f(); }
  if (b < ${blocksX}u) {
    let row = tile.x + 4u * (b / ${deep}u);
    return transpose(mat4x4f(${[0, 1, 2, 3].map((i) => `x_at(min(row + ${i}u, last.x), k4)`).join(", ")}));
  }
  let row = tile.y + 4u * ((b - ${blocksX}u) / ${deep}u);
  return transpose(mat4x4f(${[0, 1, 2, 3].map((i) => `weight_at(min(row + ${i}u, last.y), k4)`).join(", ")}));
}

fn put(b: u32, block: mat4x4f) {
  let k = 4u * (b % ${deep}u);
  if (b < ${blocksX}u) {
    let at = k * ${strideX}u + b / ${deep}u;
${lines(4, (i) => `    tile_x[at + ${i * strideX}u] = ${typeX}(block[${i}]);`)}
  } else {
    let at = k * ${strideW}u + (b - ${blocksX}u) / ${deep}u;
${lines(4, (i) => `    tile_w[at + ${i * strideW}u] = ${typeW}(block[${i}]);`)}
  }
}
${computeMain(
  threads,
  /* wgsl */ `
  let tile = output_tile(workgroup, ${t.tileM}u, ${t.tileN}u);
  if (tile.x >= params.m) { return; }
  let last = vec2u(params.m - 1u, params.column_end - params.column_start - 1u);
  let tx = thread % ${threadsN}u;
  let ty = thread / ${threadsN}u;
${lines(sums, (i) => `  var s${i} = vec4f(0.0);`)}
${lines(moves, (i) => `  var block${i}: mat4x4f;`)}
  let depth = ${t.rolled ? opaque(t.stepK) : `${t.stepK}u`};
${t.rolled ? "" : indent(fetch("0u"), 2)}
  for (var k0 = 0u; k0 < params.k; k0 += ${t.stepK}u) {
${t.rolled ? indent(fetch("k0"), 4) : ""}
${lines(moves, (i) => `    put(thread + ${i * threads}u, block${i});`)}
    workgroupBarrier();
    // The next step's values travel while this step's are used.
${t.rolled ? "" : indent(fetch(`k0 + ${t.stepK}u`), 4)}
    for (var k = 0u; k < depth; k++) {
${lines(rowGroups, (i) => `      let a${i} = vec4f(tile_x[k * ${strideX}u + ty + ${i * threadsM}u]);`)}
${lines(columnGroups, (c) => `      let b${c} = vec4f(tile_w[k * ${strideW}u + tx + ${c * threadsN}u]);`)}
${lines(sums, (i) => {
  const row = Math.floor(i / columnGroups);
  return `      s${i} += a${row >> 2}[${row & 3}] * b${i % columnGroups};`;
})}
    }
    workgroupBarrier();
  }
${forEachSum(
  sums,
  `    let r = i / ${columnGroups}u;
    let row = tile.x + 4u * (ty + (r >> 2u) * ${threadsM}u) + (r & 3u);
    let column = params.column_start + tile.y + 4u * (tx + (i % ${columnGroups}u) * ${threadsN}u);
    if (row < params.m && column < params.column_end) { finish(row, column, sums[i]); }`,
)}`,
)}`;
}
