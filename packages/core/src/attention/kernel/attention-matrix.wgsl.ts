/**
 * Attention by subgroup matrices: operands rounded to f16, sums and softmax in f32. A subgroup takes 16 queries; keys and
 * values pass through workgroup memory, and the output stays in the subgroup's matrices. A matrix can not be scaled by
 * rows in place, so the running maximum may lag behind by `LAG`: the outputs are scaled (through workgroup memory) only
 * where a score outgrows it by more, which after the first keys is rare. The final division makes up for it exactly.
 */
import { computeMain, indent, lines, tree } from "@lvsa/runtime";
import { type AttentionShape, attentionPrelude, LOWEST, MASKED } from "./attention-common.wgsl.js";

export interface MatrixAttention {
  readonly subgroups: number;
  /** Keys per step, a multiple of 32. */
  readonly keys: number;
  /** The next keys travel while the output of these is summed. */
  readonly ahead: boolean;
}

const SIDE = 16;
const LANES = 32;
/** In units of log2: weights of up to 256 lose nothing as f16. */
const LAG = 8;

export const matrixQueries = ({ subgroups }: MatrixAttention): number => SIDE * subgroups;

/** Halves from row to row of staged operands: the padding keeps banks apart. */
const stride = (width: number) => width + 8;
const scoreStride = ({ keys }: MatrixAttention) => keys + 4;

/** Bytes of workgroup memory. */
export function matrixAttentionBytes(headDim: number, o: MatrixAttention): number {
  const queries = matrixQueries(o);
  return (
    2 * Math.max(queries, o.keys) * stride(headDim) +
    4 * queries * scoreStride(o) +
    2 * queries * stride(o.keys) +
    16
  );
}

export function matrixKernelBody(shape: AttentionShape, o: MatrixAttention): string {
  const D = shape.headDim;
  const queries = matrixQueries(o);
  const threads = LANES * o.subgroups;
  const units = D / 8; // loads of 16 bytes per token
  const total = o.keys * units;
  const loads = Math.ceil(total / threads);
  const [rowD, rowK, rowS] = [stride(D) / 4, stride(o.keys) / 4, scoreStride(o)];
  const [keyBlocks, dBlocks] = [o.keys / SIDE, D / SIDE];
  const half = o.keys / 2; // scores of a row that one of its two lanes handles
  const outBlocks = keyBlocks; // output matrices that fit the memory of the scores at a time
  const weight = Array.from({ length: half }, (_, k) => `p${k}`);
  const own = `subgroup * ${SIDE}u`;
  const kind = (side: string) => `subgroup_matrix_${side}<f16, ${SIDE}, ${SIDE}>`;
  const load = (side: "left" | "right", order: "row" | "col", from: string, at: string, row: number) =>
    `subgroupMatrixLoad<${kind(side)}, ${order}_major>(&${from}, ${at}, ${row}u)`;

  const fetch = (what: "key" | "value", k0 = "k0") =>
    lines(loads, (i) => {
      const line = `${what}_load${i} = ${what}8(segment.in_context, kv_at(t, segment.in_context, min(${k0} + (thread + ${i * threads}u) / ${units}u, segment.end - 1u)) + (thread + ${i * threads}u) % ${units}u);`;
      return (i + 1) * threads <= total ? line : `if (thread < ${total - i * threads}u) { ${line} }`;
    });
  const put = (what: "key" | "value") =>
    lines(loads, (i) => {
      const line = `put(thread + ${i * threads}u, ${what}_load${i});`;
      return (i + 1) * threads <= total ? line : `if (thread < ${total - i * threads}u) { ${line} }`;
    });
  /** Output matrices through the memory of the scores, a few at a time; `body` sees row and columns of a lane. */
  const throughScores = (body: (first: number, count: number) => string, back: boolean) =>
    lines(Math.ceil(dBlocks / outBlocks), (part) => {
      const first = part * outBlocks;
      const count = Math.min(outBlocks, dBlocks - first);
      const at = (i: number) => `${own} * ${rowS}u + ${i * SIDE}u`;
      return `workgroupBarrier();
${lines(count, (i) => `subgroupMatrixStore<row_major>(&scores, ${at(i)}, o${first + i}, ${rowS}u);`)}
workgroupBarrier();
${body(first, count)}${
  back
    ? `
workgroupBarrier();
${lines(count, (i) => `o${first + i} = subgroupMatrixLoad<subgroup_matrix_result<f32, ${SIDE}, ${SIDE}>, row_major>(&scores, ${at(i)}, ${rowS}u);`)}`
    : ""
}`;
    });

  return /* wgsl */ `${attentionPrelude(shape, queries, true)}
var<workgroup> staged: array<vec4<f16>, ${Math.max(queries, o.keys) * rowD}>;
var<workgroup> scores: array<f32, ${queries * rowS}>;
var<workgroup> weights: array<vec4<f16>, ${queries * rowK}>;
// The first is set where outputs must be scaled; four, because matrices want variables of multiples of 16 bytes.
var<workgroup> outgrown: array<atomic<u32>, 4>;

fn put(i: u32, v: vec4u) {
  let at = (i / ${units}u) * ${rowD}u + 2u * (i % ${units}u);
  staged[at] = bitcast<vec4<f16>>(v.xy);
  staged[at + 1u] = bitcast<vec4<f16>>(v.zw);
}
${computeMain(
  threads,
  /* wgsl */ `
  if (workgroup >= params.count) { return; }
  let t = find_tile(workgroup);
  // Staged, because rows past the end of the tile repeat its last query.
  for (var i = thread; i < ${queries * units}u; i += ${threads}u) {
    put(i, query8(t, min(t.first + i / ${units}u, t.end - 1u), i % ${units}u));
  }
  workgroupBarrier();
${lines(dBlocks, (i) => `  let q${i} = ${load("left", "row", "staged", `${own} * ${rowD}u + ${(i * SIDE) / 4}u`, rowD)};`)}
${lines(dBlocks, (i) => `  var o${i} = subgroup_matrix_result<f32, ${SIDE}, ${SIDE}>(0.0);`)}
  // Two lanes share a row of scores.
  let row = ${own} + lane / 2u;
  let side = lane % 2u;
  let scores_at = row * ${rowS}u + side * ${half}u;
  let weights_at = row * ${rowK}u + side * ${half / 4}u;
  var m = ${LOWEST};
  var l = 0.0;
${lines(loads, (i) => `  var key_load${i} = vec4u();\n  var value_load${i} = vec4u();`)}

  for (var i = 0u; i < t.segments; i++) {
    let segment = find_segment(t, i);
${o.ahead ? indent(fetch("key", "segment.start"), 4) : ""}
    for (var k0 = segment.start; k0 < segment.end; k0 += ${o.keys}u) {
      // 1. Scores.
${o.ahead ? "" : indent(fetch("key"), 6)}
      workgroupBarrier();
${indent(put("key"), 6)}
      workgroupBarrier();
${indent(fetch("value"), 6)}
${lines(keyBlocks, (j) => `      var s${j} = subgroup_matrix_result<f32, ${SIDE}, ${SIDE}>(0.0);`)}
${lines(keyBlocks, (j) =>
  lines(
    dBlocks,
    (d) =>
      `      s${j} = subgroupMatrixMultiplyAccumulate(q${d}, ${load("right", "col", "staged", `${j * SIDE * rowD + (d * SIDE) / 4}u`, rowD)}, s${j});`,
  ),
)}
${lines(keyBlocks, (j) => `      subgroupMatrixStore<row_major>(&scores, ${own} * ${rowS}u + ${j * SIDE}u, s${j}, ${rowS}u);`)}
      if (thread == 0u) { atomicStore(&outgrown[0], 0u); }
      workgroupBarrier();

      // 2. Weights of this lane's half of a row, in units of log2; values take the place of keys.
${indent(put("value"), 6)}
${lines(
  half,
  (k) => `      var p${k} = scores[scores_at + ${k}u] * params.scale;
      if (k0 + side * ${half}u + ${k}u >= segment.end) { p${k} = ${MASKED}; }`,
)}
      let side_top = ${tree(weight, (a, b) => `max(${a}, ${b})`)};
      let top = max(side_top, subgroupShuffleXor(side_top, 1u));
      let grows = top > m + ${LAG}.0;
      let shrink = select(1.0, exp2(m - top), grows);
      m = select(m, top, grows);
      if (grows) { atomicStore(&outgrown[0], 1u); }
${lines(half, (k) => `      p${k} = exp2(p${k} - m);`)}
      l = l * shrink + ${tree(weight, (a, b) => `(${a} + ${b})`)};
${lines(half / 4, (k) => `      weights[weights_at + ${k}u] = vec4<f16>(vec4f(p${4 * k}, p${4 * k + 1}, p${4 * k + 2}, p${4 * k + 3}));`)}
      // This load waits for all threads, before and after.
      if (workgroupUniformLoad(&outgrown[0]) != 0u) {
${indent(
  throughScores(() => `for (var k = 0u; k < ${half}u; k++) { scores[scores_at + k] *= shrink; }`, true),
  8,
)}
      }

${
  o.ahead
    ? `      if (k0 + ${o.keys}u < segment.end) {
${indent(fetch("key", `k0 + ${o.keys}u`), 8)}
      }`
    : ""
}
      // 3. Output += weights times values. Keys past the end weigh 0 and repeat the last value, which is finite.
${lines(keyBlocks, (k) => {
  const left = load("left", "row", "weights", `${own} * ${rowK}u + ${(k * SIDE) / 4}u`, rowK);
  return `      let weights${k} = ${left};
${lines(
  dBlocks,
  (d) =>
    `      o${d} = subgroupMatrixMultiplyAccumulate(weights${k}, ${load("right", "row", "staged", `${k * SIDE * rowD + (d * SIDE) / 4}u`, rowD)}, o${d});`,
)}`;
})}
    }
  }

  // 4. Divide once, store.
  l += subgroupShuffleXor(l, 1u);
  let inverse = select(1.0 / l, 0.0, l == 0.0);
  let token = t.first + row;
${indent(
  throughScores(
    (first, count) => `if (token < t.end) {
  for (var k = 4u * side; k < ${count * SIDE}u; k += 8u) {
    let at = row * ${rowS}u + k;
    result4(t, token, (${first * SIDE}u + k) / 4u, inverse * vec4f(scores[at], scores[at + 1u], scores[at + 2u], scores[at + 3u]));
  }
}`,
    false,
  ),
  2,
)}
${shape.logSumExp ? "  if (side == 0u && token < t.end) { store_log_sum_exp(t, token, m, l); }" : ""}`,
  true,
)}`;
}
