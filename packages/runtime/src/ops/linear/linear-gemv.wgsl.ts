/** The matrix product for a few rows of x (time and text embeddings), where reading the weight is the work. */
import type { GemvShape } from "./linear-plan.js";
import { lines } from "./linear-text.js";

/** One workgroup per four columns: threads walk along k side by side, then add up through workgroup memory. */
export function gemvSource({ rows, threads }: GemvShape): string {
  // One thread per row would add 64 vectors one after another: where there are threads enough, add slices first.
  const sliced = threads >= 8 * rows && threads > 8;
  const slices = sliced ? 8 : threads;
  const slice = threads / slices;
  const gather = !sliced
    ? ""
    : `  var part = vec4f(0.0);
  if (l < ${slices * rows}u) {
    for (var i = 0u; i < ${slice}u; i++) { part += partial[l * ${slice}u + i]; }
  }
  workgroupBarrier();
  if (l < ${slices * rows}u) { partial[(l / ${slices}u) * ${threads}u + l % ${slices}u] = part; }
  workgroupBarrier();`;
  return `
var<workgroup> partial: array<vec4f, ${rows * threads}>;

@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) l: u32) {
  let column = 4u * linear_workgroup(group, grid);
  if (column >= params.column_end - params.column_start) { return; }
${lines(rows, (r) => `  var s${r} = vec4f(0.0);`)}
  let last_row = params.m - 1u;
  let last_column = params.column_end - params.column_start - 1u;
${lines(4, (i) => `  let c${i} = min(column + ${i}u, last_column);`)}
  let steps = (params.k + 3u) / 4u;
  for (var k4 = l; k4 < steps; k4 += ${threads}u) {
${lines(4, (i) => `    let w${i} = weight_at(c${i}, k4);`)}
${lines(
  rows,
  (r) => `    {
      let v = x_at(min(${r}u, last_row), k4);
      s${r} += vec4f(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
    }`,
)}
  }
${lines(rows, (r) => `  partial[${r * threads}u + l] = s${r};`)}
  workgroupBarrier();
${gather}
  for (var row = l; row < min(${rows}u, params.m); row += ${threads}u) {
    var sum = vec4f(0.0);
    for (var i = 0u; i < ${slices}u; i++) { sum += partial[row * ${threads}u + i]; }
    finish(row, params.column_start + column, sum);
  }
}`;
}
