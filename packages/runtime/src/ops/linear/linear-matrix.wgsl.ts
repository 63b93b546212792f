/** The matrix product by subgroup matrices: operands rounded to f16 or as f32, sums in f32. */
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
 * One workgroup per output tile. Rows past the end repeat the last one and are not stored; values of k past the end are
 * 0. K is a multiple of 8; where it is one of the step (`whole`), nothing is past the end.
 */
export function matrixSource(t: MatrixTile & { readonly whole?: boolean }): string {
  const { one, type } = matrixRead(t);
  const loads = matrixLoads(t);
  const depth = matrixDepth(t);
  const read = (name: "x" | "weight", row: string) =>
    t.whole ? `${one}_${name}(${row} + at)` : `${name}_or_zero(${row}, at)`;
  const fetch = (k: string) => `{
  let at = ${k} / ${MATRIX_LOAD}u + load_group;
${lines(loads.x, (i) => `  x${i} = ${read("x", `row${i}`)};`)}
${lines(loads.w, (i) => `  w${i} = ${read("weight", `column${i}`)};`)}
}`;
  const orZero = (name: "x" | "weight") => /* wgsl */ `
fn ${name}_or_zero(row: u32, at: u32) -> ${type} {
  if (at >= params.k / ${MATRIX_LOAD}u) { return ${type}(); }
  return ${one}_${name}(row + at);
}`;
  return /* wgsl */ `
var<private> tile_row: u32;
var<private> tile_column: u32;
fn finish_sums(row: u32, column: u32, sum: vec4f) {
  let r = tile_row + row;
  let c = params.column_start + tile_column + column;
  if (r < params.m && c < params.column_end) { finish(r, c, sum); }
}
${t.whole ? "" : orZero("x") + orZero("weight")}
${matrixDeclarations(t)}
${computeMain(
  matrixThreads(t),
  /* wgsl */ `
  let tile = output_tile(workgroup, ${t.tileM}u, ${t.tileN}u);
  if (tile.x >= params.m) { return; }
  tile_row = tile.x;
  tile_column = tile.y;
  let last = vec2u(params.m - 1u, params.column_end - params.column_start - 1u);
  // Rows by where they begin, in loads.
  let wide = params.k / ${MATRIX_LOAD}u;
${lines(loads.x, (i) => `  let row${i} = min(tile.x + ${matrixLoadRow(t, i)}, last.x) * wide;`)}
${lines(loads.w, (i) => `  let column${i} = min(tile.y + ${matrixLoadRow(t, i)}, last.y) * wide;`)}
${matrixStart(t)}
  ${fetch("0u")}
  for (var k0 = 0u; k0 < params.k; k0 += ${depth}u) {
${matrixStep(t, `if (k0 + ${depth}u < params.k) ${fetch(`(k0 + ${depth}u)`)}`)}
  }
${matrixFinish(t)}`,
  matrixSubgroups(t),
)}`;
}
