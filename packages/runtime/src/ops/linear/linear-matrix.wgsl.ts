/** The matrix product by subgroup matrices: operands rounded to f16, sums in f32. */
import { lines } from "../../kernel/wgsl-text.js";
import { computeMain } from "../../kernel/wgsl-threads.js";
import {
  MATRIX_LOAD,
  MATRIX_STEP,
  type MatrixTile,
  matrixDeclarations,
  matrixFinish,
  matrixLoadRow,
  matrixLoads,
  matrixStart,
  matrixStep,
  matrixThreads,
} from "../matrix/matrix-tile.wgsl.js";

/**
 * One workgroup per output tile. Rows past the end repeat the last one and are not stored; values of k past the end are
 * 0. K is a multiple of 8.
 */
export function matrixSource(t: MatrixTile): string {
  const loads = matrixLoads(t);
  const fetch = (k: string) => `{
  let at = ${k} / ${MATRIX_LOAD}u + load_group;
${lines(loads.x, (i) => `  x${i} = x_or_zero(row${i}, at);`)}
${lines(loads.w, (i) => `  w${i} = weight_or_zero(column${i}, at);`)}
}`;
  return /* wgsl */ `
var<private> tile_row: u32;
var<private> tile_column: u32;
fn finish_sums(row: u32, column: u32, sum: vec4f) {
  let r = tile_row + row;
  let c = params.column_start + tile_column + column;
  if (r < params.m && c < params.column_end) { finish(r, c, sum); }
}
fn x_or_zero(row: u32, at: u32) -> vec4u {
  let wide = params.k / ${MATRIX_LOAD}u;
  if (at >= wide) { return vec4u(); }
  return halves_x(row * wide + at);
}
fn weight_or_zero(row: u32, at: u32) -> vec4u {
  let wide = params.k / ${MATRIX_LOAD}u;
  if (at >= wide) { return vec4u(); }
  return halves_weight(row * wide + at);
}
${matrixDeclarations(t)}
${computeMain(
  matrixThreads(t),
  /* wgsl */ `
  let tile = output_tile(workgroup, ${t.tileM}u, ${t.tileN}u);
  if (tile.x >= params.m) { return; }
  tile_row = tile.x;
  tile_column = tile.y;
  let last = vec2u(params.m - 1u, params.column_end - params.column_start - 1u);
${lines(loads.x, (i) => `  let row${i} = min(tile.x + ${matrixLoadRow(t, i)}, last.x);`)}
${lines(loads.w, (i) => `  let column${i} = min(tile.y + ${matrixLoadRow(t, i)}, last.y);`)}
${matrixStart(t)}
  ${fetch("0u")}
  for (var k0 = 0u; k0 < params.k; k0 += ${MATRIX_STEP}u) {
${matrixStep(t, fetch(`(k0 + ${MATRIX_STEP}u)`))}
  }
${matrixFinish(t)}`,
  true,
)}`;
}
