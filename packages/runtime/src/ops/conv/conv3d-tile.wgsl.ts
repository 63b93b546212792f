/** `conv3d` for GPUs and as the portable reference: both operands staged in workgroup memory. */
import { lines } from "../../kernel/wgsl-text.js";
import { computeMain } from "../../kernel/wgsl-threads.js";
import type { ConvTile } from "./conv-variant.js";

/**
 * One workgroup per tile of positions and channels. Half of the threads stage positions, the others weights, one
 * transposed 4 x 4 block each, so that the sums read four rows or four columns of one k as a vec4.
 */
export function convTileSource(t: ConvTile): string {
  const threadsN = t.tileN / t.threadN;
  const threadsM = t.tileM / t.threadM;
  const threads = threadsN * threadsM;
  const rowGroups = t.threadM / 4;
  const columnGroups = t.threadN / 4;
  const strideX = t.tileM / 4;
  const strideW = t.tileN / 4;
  const sums = t.threadM * columnGroups;
  const deep = t.stepK / 4;
  const blocksX = strideX * deep;
  const blocksW = strideW * deep;
  const four = [0, 1, 2, 3];
  const type = t.half ? "vec4<f16>" : "vec4f";
  const staged = (value: string) => (t.half ? `vec4f(${value})` : value);
  return /* wgsl */ `
var<workgroup> tile_x: array<${type}, ${t.stepK * strideX}>;
var<workgroup> tile_w: array<${type}, ${t.stepK * strideW}>;

fn input_or_zero(cached: bool, pixel: i32, k4: u32) -> vec4f {
  if (pixel < 0 || k4 >= params.steps) { return vec4f(0.0); }
  return input_at(cached, u32(pixel) + k4);
}
fn weight_or_zero(row: u32, k4: u32) -> vec4f {
  if (k4 >= params.steps) { return vec4f(0.0); }
  return load4_weight(row * params.steps + k4);
}
${computeMain(
  threads,
  /* wgsl */ `
  let row_tiles = (params.m + ${t.tileM - 1}u) / ${t.tileM}u;
  let count = params.column_end - params.column_start;
  let column_tiles = (count + ${t.tileN - 1}u) / ${t.tileN}u;
  // Channels run fastest: neighbours read the same positions.
  let tile_column = (workgroup % column_tiles) * ${t.tileN}u;
  let frame = workgroup / column_tiles / row_tiles;
  let first = ((workgroup / column_tiles) % row_tiles) * ${t.tileM}u;
  if (frame >= params.out_frames) { return; }
  let tx = thread % ${threadsN}u;
  let ty = thread / ${threadsN}u;
  let b = thread % ${blocksX}u;
  let kb = b % ${deep}u;
  let rb = b / ${deep}u;
  let stages_x = thread < ${blocksX}u;
  let stages_w = thread >= ${threads - blocksW}u;
${lines(4, (i) => `  let corner${i} = corner_of(min(first + rb * 4u + ${i}u, params.m - 1u));`)}
  let wb = thread - ${threads - blocksW}u;
  let wk = wb % ${deep}u;
  let wr = wb / ${deep}u;
${lines(4, (i) => `  let row${i} = min(tile_column + wr * 4u + ${i}u, count - 1u) * params.taps + params.first_tap;`)}
${lines(sums, (i) => `  var s${i} = vec4f(0.0);`)}
  var tap = 0u;
  for (var tt = 0u; tt < params.taps_t; tt++) {
    let t = frame_of(frame, tt);
    if (!is_frame(t)) { tap += params.taps_h * params.taps_w; continue; }
    let base = frame_base(t);
    let cached = t < 0;
    for (var ky = 0u; ky < params.taps_h; ky++) {
      for (var kx = 0u; kx < params.taps_w; kx++) {
        let offset = vec2i(i32(kx), i32(ky));
${lines(4, (i) => `        let pixel${i} = pixel_at(base, corner${i} + offset);`)}
        for (var k0 = 0u; k0 < params.steps; k0 += ${deep}u) {
          if (stages_x) {
            let m = transpose(mat4x4f(${four.map((i) => `input_or_zero(cached, pixel${i}, k0 + kb)`).join(", ")}));
${lines(4, (i) => `            tile_x[(4u * kb + ${i}u) * ${strideX}u + rb] = ${t.half ? `${type}(m[${i}])` : `m[${i}]`};`)}
          }
          if (stages_w) {
            let m = transpose(mat4x4f(${four.map((i) => `weight_or_zero(row${i} + tap, k0 + wk)`).join(", ")}));
${lines(4, (i) => `            tile_w[(4u * wk + ${i}u) * ${strideW}u + wr] = ${t.half ? `${type}(m[${i}])` : `m[${i}]`};`)}
          }
          workgroupBarrier();
          for (var k = 0u; k < ${t.stepK}u; k++) {
${lines(rowGroups, (i) => `            let a${i} = ${staged(`tile_x[k * ${strideX}u + ty + ${i * threadsM}u]`)};`)}
${lines(columnGroups, (c) => `            let c${c} = ${staged(`tile_w[k * ${strideW}u + tx + ${c * threadsN}u]`)};`)}
${lines(sums, (i) => {
  const row = Math.floor(i / columnGroups);
  return `            s${i} += a${row >> 2}[${row & 3}] * c${i % columnGroups};`;
})}
          }
          workgroupBarrier();
        }
        tap += 1u;
      }
    }
  }
  var sums = array<vec4f, ${sums}>(${Array.from({ length: sums }, (_, i) => `s${i}`).join(", ")});
  for (var i = 0u; i < ${sums}u; i++) {
    let r = i / ${columnGroups}u;
    let row = first + 4u * (ty + (r >> 2u) * ${threadsM}u) + (r & 3u);
    let column = params.column_start + tile_column + 4u * (tx + (i % ${columnGroups}u) * ${threadsN}u);
    if (row < params.m && column < params.column_end) { finish(frame * params.m + row, column, sums[i]); }
  }`,
)}`;
}
