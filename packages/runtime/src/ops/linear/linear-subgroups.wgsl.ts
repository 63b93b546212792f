/** The matrix product for narrow subgroups (processors): registers and lane broadcasts, no workgroup memory. */
import { forEachSum, lines, vec4Of } from "../../kernel/wgsl-text.js";
import { computeMain } from "../../kernel/wgsl-threads.js";
import type { SubgroupShape } from "./linear-variant.js";

/**
 * One subgroup per workgroup computes `size * blocksM` rows by `size * blocksN` columns. A lane loads rows of x and
 * rows of the weight, four values along k at a time; weight rows are broadcast lane by lane, so that a lane ends with
 * whole rows of the output tile. Rows past the end repeat the last one and are not stored.
 */
export function subgroupSource({ size, blocksM, blocksN }: SubgroupShape): string {
  const columns = size * blocksN;
  const sums = columns / 4;
  return computeMain(
    size,
    /* wgsl */ `
  let tile = output_tile(workgroup, ${size * blocksM}u, ${columns}u);
  if (tile.x >= params.m) { return; }
  let last_row = params.m - 1u;
  let last_column = params.column_end - params.column_start - 1u;
${lines(blocksM, (i) => `  let row${i} = min(tile.x + ${i * size}u + lane, last_row);`)}
${lines(blocksN, (j) => `  let column${j} = min(tile.y + ${j * size}u + lane, last_column);`)}
${lines(blocksM * sums, (i) => `  var s${i} = vec4f(0.0);`)}
  let steps = (params.k + 3u) / 4u;
  for (var k4 = 0u; k4 < steps; k4++) {
${lines(blocksM, (i) => `    let x${i} = x_at(row${i}, k4);`)}
${lines(blocksN, (j) => `    let w${j} = weight_at(column${j}, k4);`)}
${lines(sums, (s) => {
  const broadcasts = [0, 1, 2, 3].map((i) => {
    const column = 4 * s + i;
    return `subgroupBroadcast(w${Math.floor(column / size)}, ${column % size}u)`;
  });
  return `    {
${lines(4, (i) => `      let b${i} = ${broadcasts[i]};`)}
${lines(blocksM, (m) => `      s${m * sums + s} += ${vec4Of((i) => `dot(x${m}, b${i})`)};`)}
    }`;
})}
  }
${forEachSum(
  blocksM * sums,
  `    let row = tile.x + (i / ${sums}u) * ${size}u + lane;
    let column = params.column_start + tile.y + 4u * (i % ${sums}u);
    if (row < params.m && column < params.column_end) { finish(row, column, sums[i]); }`,
)}`,
    true,
  );
}
