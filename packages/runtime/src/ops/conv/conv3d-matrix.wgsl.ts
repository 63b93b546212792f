/** `conv3d` by subgroup matrices: operands rounded to f16 or as f32, sums in f32. */
import { lines } from "../../kernel/wgsl-text.js";
import { computeMain } from "../../kernel/wgsl-threads.js";
import {
  MATRIX_LOAD,
  type MatrixTile,
  matrixDeclarations,
  matrixDepth,
  matrixFinish,
  matrixLoadRow,
  matrixLoads,
  matrixRead,
  matrixStart,
  matrixStep,
  matrixSubgroups,
  matrixThreads,
} from "../matrix/matrix-tile.wgsl.js";

/**
 * One workgroup per tile of positions of one output frame and channels. Steps walk through taps outside and input
 * channels inside, as one loop, so that a step's values travel while the one before is multiplied. Input channels are a
 * multiple of 8; channels past the end of a tap are 0. Needs `halves_input(cached, i)` and `halves_weight(i)`,
 * or `floats_` of both.
 */
export function convMatrixSource(t: MatrixTile): string {
  const { one, type } = matrixRead(t);
  const loads = matrixLoads(t);
  const fetch = (step: string) => `{
  let tap = first_tap + ${step} / tap_steps;
  let at = (${step} % tap_steps) * ${matrixDepth(t) / MATRIX_LOAD}u + load_group;
  let space = tap % (params.taps_h * params.taps_w);
  let t = frame_of(frame, tap / (params.taps_h * params.taps_w));
  let offset = vec2i(i32(space % params.taps_w), i32(space / params.taps_w));
${lines(loads.x, (i) => `  x${i} = input_or_zero(t, corner${i} + offset, at);`)}
${lines(loads.w, (i) => `  w${i} = weight_or_zero(channel${i} + tap, at);`)}
}`;
  return /* wgsl */ `
var<private> tile_row: u32;
var<private> tile_column: u32;
var<private> tile_frame: u32;
fn finish_sums(row: u32, column: u32, sum: vec4f) {
  let r = tile_row + row;
  let c = params.column_start + tile_column + column;
  if (r < params.m && c < params.column_end) { finish(tile_frame * params.m + r, c, sum); }
}
// params.steps counts vectors of four channels.
fn input_or_zero(t: i32, place: vec2i, at: u32) -> ${type} {
  if (2u * at >= params.steps || !is_frame(t)) { return ${type}(); }
  let pixel = pixel_at(frame_base(t), place);
  if (pixel < 0) { return ${type}(); }
  return ${one}_input(t < 0, u32(pixel) / 2u + at);
}
fn weight_or_zero(row: u32, at: u32) -> ${type} {
  if (2u * at >= params.steps) { return ${type}(); }
  return ${one}_weight(row * (params.steps / 2u) + at);
}
${matrixDeclarations(t)}
${computeMain(
  matrixThreads(t),
  /* wgsl */ `
  let row_tiles = (params.m + ${t.tileM - 1}u) / ${t.tileM}u;
  let count = params.column_end - params.column_start;
  let column_tiles = (count + ${t.tileN - 1}u) / ${t.tileN}u;
  // Channels run fastest: neighbours read the same positions.
  tile_column = (workgroup % column_tiles) * ${t.tileN}u;
  let frame = workgroup / column_tiles / row_tiles;
  tile_frame = frame;
  tile_row = ((workgroup / column_tiles) % row_tiles) * ${t.tileM}u;
  if (frame >= params.out_frames) { return; }
  let first = ((workgroup / column_tiles) % row_tiles) * ${t.tileM}u;
  let first_column = (workgroup % column_tiles) * ${t.tileN}u;
${lines(loads.x, (i) => `  let corner${i} = corner_of(min(first + ${matrixLoadRow(t, i)}, params.m - 1u));`)}
${lines(loads.w, (i) => `  let channel${i} = min(first_column + ${matrixLoadRow(t, i)}, count - 1u) * params.taps + params.first_tap;`)}
${matrixStart(t)}
  // Taps in time before the first and after the last frame are skipped as a whole.
  var first_time = 0u;
  var end_time = params.taps_t;
  while (first_time < end_time && !is_frame(frame_of(frame, first_time))) { first_time++; }
  while (end_time > first_time && !is_frame(frame_of(frame, end_time - 1u))) { end_time--; }
  let first_tap = first_time * params.taps_h * params.taps_w;
  let tap_steps = (params.steps + ${matrixDepth(t) / 4 - 1}u) / ${matrixDepth(t) / 4}u;
  let end_step = (end_time - first_time) * params.taps_h * params.taps_w * tap_steps;
  if (end_step > 0u) ${fetch("0u")}
  for (var step = 0u; step < end_step; step++) {
${matrixStep(t, `if (step + 1u < end_step) ${fetch("(step + 1u)")}`)}
  }
${matrixFinish(t)}`,
  matrixSubgroups(t),
)}`;
}
