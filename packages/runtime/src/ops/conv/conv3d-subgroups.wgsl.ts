/** `conv3d` for narrow subgroups (processors): registers and lane broadcasts, no workgroup memory. */
import { lines, vec4Of } from "../../kernel/wgsl-text.js";
import { computeMain } from "../../kernel/wgsl-threads.js";
import type { ConvSubgroup } from "./conv-variant.js";

/**
 * One subgroup per workgroup computes `size * blocksM` positions of one frame by `size * blocksN` channels. A lane
 * loads positions and weight rows, four input channels at a time; weight rows are broadcast lane by lane, so that a
 * lane ends with whole rows of the output tile. Positions past the end repeat the last one and are not stored.
 */
export function convSubgroupSource({ size, blocksM, blocksN }: ConvSubgroup, history: boolean): string {
  const columns = size * blocksN;
  const sums = columns / 4;
  // Two copies of the innermost loop cost compile time, a choice of buffers inside of it would cost every load.
  const inner = (buffer: "x" | "history") => /* wgsl */ `
        for (var k4 = 0u; k4 < params.steps; k4++) {
${lines(blocksM, (i) => `          let x${i} = select(vec4f(0.0), load4_${buffer}(from${i} + k4), inside${i});`)}
${lines(blocksN, (j) => `          let w${j} = load4_weight(weight${j} + k4);`)}
${lines(sums, (s) => {
  const broadcasts = [0, 1, 2, 3].map((i) => {
    const column = 4 * s + i;
    return `subgroupBroadcast(w${Math.floor(column / size)}, ${column % size}u)`;
  });
  return `          {
${lines(4, (i) => `            let b${i} = ${broadcasts[i]};`)}
${lines(blocksM, (m) => `            s${m * sums + s} += ${vec4Of((i) => `dot(x${m}, b${i})`)};`)}
          }`;
})}
        }`;
  return computeMain(
    size,
    /* wgsl */ `
  let row_tiles = (params.m + ${size * blocksM - 1}u) / ${size * blocksM}u;
  let tiles = row_tiles * params.out_frames;
  // Positions run fastest: the weight rows of these columns stay in the cache.
  let column = (workgroup / tiles) * ${columns}u;
  let count = params.column_end - params.column_start;
  if (column >= count) { return; }
  let frame = (workgroup % tiles) / row_tiles;
  let first = ((workgroup % tiles) % row_tiles) * ${size * blocksM}u;
${lines(blocksM, (i) => `  let corner${i} = corner_of(min(first + ${i * size}u + lane, params.m - 1u));`)}
${lines(blocksN, (j) => `  let row${j} = min(column + ${j * size}u + lane, count - 1u) * params.taps + params.first_tap;`)}
${lines(blocksM * sums, (i) => `  var s${i} = vec4f(0.0);`)}
  var tap = 0u;
  for (var tt = 0u; tt < params.taps_t; tt++) {
    let t = frame_of(frame, tt);
    if (!is_frame(t)) { tap += params.taps_h * params.taps_w; continue; }
    let base = frame_base(t);
    for (var ty = 0u; ty < params.taps_h; ty++) {
      for (var tx = 0u; tx < params.taps_w; tx++) {
        let offset = vec2i(i32(tx), i32(ty));
${lines(
  blocksM,
  (i) => `        let pixel${i} = pixel_at(base, corner${i} + offset);
        let inside${i} = pixel${i} >= 0;
        let from${i} = u32(max(pixel${i}, 0));`,
)}
${lines(blocksN, (j) => `        let weight${j} = (row${j} + tap) * params.steps;`)}
${history ? `        if (t < 0) {${inner("history")}\n        } else {${inner("x")}\n        }` : inner("x")}
        tap += 1u;
      }
    }
  }
  var sums = array<vec4f, ${blocksM * sums}>(${Array.from({ length: blocksM * sums }, (_, i) => `s${i}`).join(", ")});
  for (var i = 0u; i < ${blocksM * sums}u; i++) {
    let row = first + (i / ${sums}u) * ${size}u + lane;
    let c = params.column_start + column + 4u * (i % ${sums}u);
    if (row < params.m && c < params.column_end) { finish(frame * params.m + row, c, sums[i]); }
  }`,
    true,
  );
}
