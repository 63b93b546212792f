/** The tiled matrix product for GPUs: operands staged in workgroup memory, a block of sums per thread. */
import type { TileShape } from "./linear-plan.js";
import { forEachSum, lines, opaque } from "./linear-text.js";

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

  return `
var<workgroup> tile_x: array<${typeX}, ${t.stepK * strideX}>;
var<workgroup> tile_w: array<${typeW}, ${t.stepK * strideW}>;

@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) l: u32) {
  let tile = output_tile(linear_workgroup(group, grid), ${t.tileM}u, ${t.tileN}u);
  if (tile.x >= params.m) { return; }
  let last_x = params.m - 1u;
  let last_weight = params.column_end - params.column_start - 1u;
  let tx = l % ${threadsN}u;
  let ty = l / ${threadsN}u;
${lines(sums, (i) => `  var s${i} = vec4f(0.0);`)}
  let depth = ${t.rolled ? opaque(t.stepK) : `${t.stepK}u`};
  for (var k0 = 0u; k0 < params.k; k0 += ${t.stepK}u) {
${stage("x", typeX, t.tileM, t.stepK, threads, "tile.x")}
${stage("weight", typeW, t.tileN, t.stepK, threads, "tile.y")}
    workgroupBarrier();
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
)}
}`;
}

/** Moves `extent` rows of `depth` values to workgroup memory, one transposed 4 x 4 block at a time. */
function stage(
  name: "x" | "weight",
  type: string,
  extent: number,
  depth: number,
  threads: number,
  origin: string,
): string {
  const tile = name === "x" ? "tile_x" : "tile_w";
  const deep = depth / 4;
  const count = (extent / 4) * deep;
  const body = `      let kb = b % ${deep}u;
      let rb = b / ${deep}u;
      let k4 = (k0 >> 2u) + kb;
      var t = mat4x4f();
      if (4u * k4 < params.k) {
        let row = ${origin} + 4u * rb;
        t = transpose(mat4x4f(${[0, 1, 2, 3].map((i) => `${name}_at(min(row + ${i}u, last_${name}), k4)`).join(", ")}));
      }
${lines(4, (i) => `      ${tile}[(4u * kb + ${i}u) * ${extent / 4}u + rb] = ${type}(t[${i}]);`)}`;
  if (count === threads) return `    {\n      let b = l;\n${body}\n    }`;
  return `    for (var b = l; b < ${count}u; b += ${threads}u) {\n${body}\n    }`;
}
