/**
 * Attention for GPUs: a workgroup takes one tile of queries of one head and walks its keys in tiles through
 * workgroup memory, with a running softmax (FlashAttention, arXiv 2205.14135). Each thread owns 4 queries times 4
 * keys of the scores and the same 4 queries times some channels of the output, all in registers.
 * It needs nothing but core WebGPU: the reference for every other kernel.
 */
import { computeMain, lines } from "@lvsa/runtime";
import { type AttentionShape, attentionPrelude, hidden, LOWEST, MASKED } from "./attention-common.wgsl.js";

export interface TileOptions {
  /** Keep staged queries, keys and values as f16: only where they are stored so, and nothing is rounded. */
  readonly halfStage: boolean;
  /** Hide the lengths of loops from the compiler (see `hidden`): for software adapters only. */
  readonly hideLoops: boolean;
}

const TX = 8; // threads along keys, and along channels of the output
const TY = 16; // threads along queries
const PER = 4; // queries, and keys, per thread
const BQ = TY * PER;
const BK = TX * PER;
/** 8 KB pass through workgroup memory and 8 KB are weights: 16 KB, which every device has. */
const STAGE_BYTES = 8192;

// Measured on an H100 (f32, D 64 and 128): 18 and 15 TFLOP/s. Twice the threads, twice the keys, more staging, or
// queries that stay in workgroup memory were between 10 % faster and half as fast; tiles of 48, 80 or 96 queries,
// chosen to divide a frame, lost more than the idle threads of the last tile cost.
export const TILE_QUERIES = BQ;

export function tileKernelBody(shape: AttentionShape, o: TileOptions): string {
  const dv = shape.headDim / 4;
  const threads = TX * TY;
  const stageVectors = STAGE_BYTES / (o.halfStage ? 8 : 16);
  // Scores: queries and keys pass in slices of `dc` vec4, with one vec4 of padding against bank conflicts.
  const most = Math.floor(stageVectors / (BQ + BK)) - 1;
  const slices = Math.ceil(dv / most);
  const dc = Math.ceil(dv / slices);
  const stride = dc + 1;
  // Output: values pass in slices of `vk` keys.
  const vk = Math.min(BK, 2 ** Math.floor(Math.log2(stageVectors / dv)));
  const columns = Math.ceil(dv / TX);
  const stageSize = Math.max((BQ + BK) * stride, vk * dv);
  const element = o.halfStage ? "vec4<f16>" : "vec4f";
  const store = (v: string) => (o.halfStage ? `vec4<f16>(${v})` : v);
  const widen = (v: string) => (o.halfStage ? `vec4f(${v})` : v);
  const full = dv % TX === 0;
  const bound = (count: number) => (o.hideLoops ? hidden(count) : `${count}u`);

  return /* wgsl */ `${attentionPrelude(shape, BQ)}
const BK = ${BK}u;
var<workgroup> stage: array<${element}, ${stageSize}>;
var<workgroup> weights: array<vec4f, ${BK * TY}>; // [key][thread row]: the 4 queries of that row of threads
${computeMain(
  threads,
  /* wgsl */ `
  if (workgroup >= params.count) { return; }
  let t = find_tile(workgroup);
  let x = thread % ${TX}u;
  let y = thread / ${TX}u;
  var m = vec4f(${LOWEST});
  var l = vec4f(0.0); // over this thread's keys only, until the end
${lines(PER * columns, (i) => `  var o${i % PER}_${Math.floor(i / PER)} = vec4f(0.0);`)}

  for (var i = 0u; i < t.segments; i++) {
    let segment = find_segment(t, i);
    for (var k0 = segment.start; k0 < segment.end; k0 += BK) {
      // 1. Scores of this thread's 4 queries (components) and 4 keys, in units of log2.
${lines(PER, (k) => `      var s${k} = vec4f(0.0);`)}
      for (var d0 = 0u; d0 < ${bound(dv)}; d0 += ${dc}u) {
        workgroupBarrier();
        for (var j = thread; j < ${bound((BQ + BK) * dc)}; j += ${threads}u) {
          let row = j / ${dc}u;
          let d = d0 + j % ${dc}u;
          var v = vec4f(0.0);
          if (d < DV) {
            if (row < ${BQ}u) {
              v = query4(t, min(t.first + row, t.end - 1u), d);
            } else {
              v = key4(segment.in_context, kv_at(t, segment.in_context, min(k0 + row - ${BQ}u, segment.end - 1u)) + d);
            }
          }
          stage[row * ${stride}u + j % ${dc}u] = ${store("v")};
        }
        workgroupBarrier();
        for (var d = 0u; d < ${bound(dc)}; d++) {
${lines(PER, (q) => `          let q${q} = ${widen(`stage[(y + ${q * TY}u) * ${stride}u + d]`)};`)}
${lines(
  PER,
  (k) => `          { let k = ${widen(`stage[(${BQ}u + x + ${k * TX}u) * ${stride}u + d]`)};
            s${k} += vec4f(dot(q0, k), dot(q1, k), dot(q2, k), dot(q3, k)); }`,
)}
        }
      }
${lines(PER, (k) => {
  const key = `k0 + x + ${k * TX}u`;
  const adjusted =
    shape.causal || shape.relativeBias
      ? `\n      s${k} = vec4f(${Array.from({ length: PER }, (_, q) => `adjust(t, segment.in_context, s${k}[${q}], t.first + y + ${q * TY}u, ${key})`).join(", ")});`
      : "";
  return `      s${k} *= params.scale;${adjusted}
      if (${key} >= segment.end) { s${k} = vec4f(${MASKED}); }`;
})}

      // 2. Largest score of each query over the row of threads.
      weights[x * ${TY}u + y] = max(max(s0, s1), max(s2, s3));
      workgroupBarrier();
      var top = m;
      for (var j = 0u; j < ${bound(TX)}; j++) { top = max(top, weights[j * ${TY}u + y]); }
      workgroupBarrier();
      let shrink = exp2(m - top);
      m = top;
${lines(PER, (k) => `      s${k} = exp2(s${k} - m);\n      weights[(x + ${k * TX}u) * ${TY}u + y] = s${k};`)}
      l = l * shrink + ((s0 + s1) + (s2 + s3));
      if (any(shrink != vec4f(1.0))) {
${lines(PER * columns, (i) => `        o${i % PER}_${Math.floor(i / PER)} *= shrink[${i % PER}];`)}
      }

      // 3. Output += weights times values. Keys past the end weigh 0 and repeat the last value, which is finite.
      for (var v0 = 0u; v0 < ${bound(BK)}; v0 += ${vk}u) {
        if (k0 + v0 >= segment.end) { break; }
        workgroupBarrier();
        for (var j = thread; j < ${bound(vk * dv)}; j += ${threads}u) {
          let v = value4(segment.in_context, kv_at(t, segment.in_context, min(k0 + v0 + j / DV, segment.end - 1u)) + j % DV);
          stage[j] = ${store("v")};
        }
        workgroupBarrier();
        for (var k = 0u; k < ${bound(vk)}; k++) {
          let p = weights[(v0 + k) * ${TY}u + y];
${lines(columns, (c) => {
  const at = `x + ${c * TX}u`;
  const body = `let v = ${widen(`stage[k * DV + ${at}]`)}; ${Array.from({ length: PER }, (_, q) => `o${q}_${c} += p[${q}] * v;`).join(" ")}`;
  return full ? `          { ${body} }` : `          if (${at} < DV) { ${body} }`;
})}
        }
      }
    }
  }

  // 4. Sum the weights over the row of threads, divide once, store.
  workgroupBarrier();
  weights[x * ${TY}u + y] = l;
  workgroupBarrier();
  var total = vec4f(0.0);
  for (var j = 0u; j < ${bound(TX)}; j++) { total += weights[j * ${TY}u + y]; }
  let inverse = select(1.0 / total, vec4f(0.0), total == vec4f(0.0));
${lines(PER, (q) => {
  const token = `t.first + y + ${q * TY}u`;
  const stores = Array.from({ length: columns }, (_, c) => {
    const line = `result4(t, ${token}, x + ${c * TX}u, o${q}_${c} * inverse[${q}]);`;
    return full ? line : `if (x + ${c * TX}u < DV) { ${line} }`;
  }).join("\n    ");
  const lse = shape.logSumExp
    ? `\n    if (x == 0u) { store_log_sum_exp(t, ${token}, m[${q}], total[${q}]); }`
    : "";
  return `  if (${token} < t.end) {\n    ${stores}${lse}\n  }`;
})}`,
)}`;
}
