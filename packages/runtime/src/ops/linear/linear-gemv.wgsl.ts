/** The matrix product for a few rows of x (time and text embeddings), where reading the weight is the work. */
import { lines, vec4Of } from "../../kernel/wgsl-text.js";
import { computeMain } from "../../kernel/wgsl-threads.js";
import type { GemvShape } from "./linear-variant.js";

/** One workgroup per four columns: threads walk along k side by side, then add up through workgroup memory. */
export function gemvSource({ rows, threads }: GemvShape): string {
  // One thread per row would add 64 vectors one after another: where there are threads enough, add slices first.
  const sliced = threads >= 8 * rows && threads > 8;
  const slices = sliced ? 8 : threads;
  const slice = threads / slices;
  const gather = !sliced
    ? ""
    : `  var part = vec4f(0.0);
  if (thread < ${slices * rows}u) {
    for (var i = 0u; i < ${slice}u; i++) { part += partial[thread * ${slice}u + i]; }
  }
  workgroupBarrier();
  if (thread < ${slices * rows}u) { partial[(thread / ${slices}u) * ${threads}u + thread % ${slices}u] = part; }
  workgroupBarrier();`;
  return /* wgsl */ `
var<workgroup> partial: array<vec4f, ${rows * threads}>;
${computeMain(
  threads,
  /* wgsl */ `
  let column = 4u * workgroup;
  if (column >= params.column_end - params.column_start) { return; }
${lines(rows, (r) => `  var s${r} = vec4f(0.0);`)}
  let last_row = params.m - 1u;
  let last_column = params.column_end - params.column_start - 1u;
${lines(4, (i) => `  let c${i} = min(column + ${i}u, last_column);`)}
  let steps = (params.k + 3u) / 4u;
  for (var k4 = thread; k4 < steps; k4 += ${threads}u) {
${lines(4, (i) => `    let w${i} = weight_at(c${i}, k4);`)}
${lines(
  rows,
  (r) => `    {
      let v = x_at(min(${r}u, last_row), k4);
      s${r} += ${vec4Of((i) => `dot(v, w${i})`)};
    }`,
)}
  }
${lines(rows, (r) => `  partial[${r * threads}u + thread] = s${r};`)}
  workgroupBarrier();
${gather}
  for (var row = thread; row < min(${rows}u, params.m); row += ${threads}u) {
    var sum = vec4f(0.0);
    for (var i = 0u; i < ${slices}u; i++) { sum += partial[row * ${threads}u + i]; }
    finish(row, params.column_start + column, sum);
  }`,
)}`;
}
