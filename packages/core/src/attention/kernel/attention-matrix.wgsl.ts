/**
 * Attention by subgroup matrices: operands rounded to f16, sums and softmax in f32. Keys and values pass through workgroup
 * memory, and the output stays in the subgroups' matrices. A matrix can not be scaled by rows in place, so the running
 * maximum may lag behind by `LAG`: the outputs are scaled (through workgroup memory) only where a score outgrows it by
 * more, which after the first keys is rare. The final division makes up for it exactly.
 */
import { computeMain, indent, lines, tree } from "@lvsa/runtime";
import { type AttentionShape, attentionPrelude, LOWEST, MASKED } from "./attention-common.wgsl.js";

export interface MatrixAttention {
  readonly subgroups: number;
  /** Keys per step, a multiple of 32. */
  readonly keys: number;
  /**
   * 2: two subgroups share 32 queries, each with half of the keys of a step and half of the channels of the output, so
   * that a matrix from workgroup memory serves two products. 1 (default): each has 16 queries, all keys, all channels.
   */
  readonly split?: 1 | 2;
}

const SIDE = 16;
const LANES = 32;
/** In units of log2: weights of up to 256 lose nothing as f16. */
const LAG = 8;

export const matrixQueries = ({ subgroups }: MatrixAttention): number => SIDE * subgroups;

/** Halves from row to row of staged operands, and scores from row to row: the padding keeps banks apart. */
const stride = (width: number) => width + 8;
/** Rows of memory for keys and, apart from them, values: three barriers per step. Queries pass through it first, one row of matrices of each subgroup at a time. */
const stagedRows = (o: MatrixAttention) => Math.max(matrixQueries(o) / (o.split ?? 1), 2 * o.keys);

/** Bytes of workgroup memory. */
export function matrixAttentionBytes(headDim: number, o: MatrixAttention): number {
  const queries = matrixQueries(o);
  return 2 * stagedRows(o) * stride(headDim) + (4 + 2) * queries * stride(o.keys) + 16;
}

/** Text that two different kernels never share. */
export function matrixAttentionKey({ subgroups, keys, split = 1 }: MatrixAttention): string {
  return `matrix-${subgroups}x${keys}${split === 2 ? "-split" : ""}`;
}

export function matrixKernelBody(shape: AttentionShape, o: MatrixAttention): string {
  const D = shape.headDim;
  const split = o.split ?? 1;
  const queries = matrixQueries(o);
  const threads = LANES * o.subgroups;
  const units = D / 8; // loads of 16 bytes per token
  const total = o.keys * units;
  const loads = Math.ceil(total / threads);
  const [rowD, rowK] = [stride(D) / 4, stride(o.keys) / 4];
  const [keyBlocks, dBlocks] = [o.keys / SIDE, D / SIDE];
  const [ownKeys, ownD] = [keyBlocks / split, dBlocks / split]; // matrices of one subgroup
  const quads = o.keys / 8; // times four scores of a row that one of its two lanes handles
  const valuesAt = o.keys * rowD;
  const rows = Array.from({ length: split }, (_, r) => r);
  const weight = Array.from({ length: quads }, (_, k) => `p${k}`);
  const kind = (side: string) => `subgroup_matrix_${side}<f16, ${SIDE}, ${SIDE}>`;
  const load = (side: "left" | "right", order: "row" | "col", from: string, at: string, row: number) =>
    `subgroupMatrixLoad<${kind(side)}, ${order}_major>(&${from}, ${at}, ${row}u)`;
  /** Where a subgroup's scores of row block r and key block j lie, and its outputs on their way. */
  const scoreAt = (r: number, j: number) => `own_scores + ${r * SIDE * rowK + (j * SIDE) / 4}u`;

  const guarded = (i: number, line: string) =>
    (i + 1) * threads <= total ? line : `if (thread < ${total - i * threads}u) { ${line} }`;
  const fetch = (what: "key" | "value", k0 = "k0") =>
    lines(loads, (i) => {
      const place = `thread + ${i * threads}u`;
      const token = `kv_at(t, segment.in_context, min(${k0} + (${place}) / ${units}u, segment.end - 1u))`;
      return guarded(
        i,
        `${what}_load${i} = ${what}8(segment.in_context, ${token} + (${place}) % ${units}u);`,
      );
    });
  const put = (what: "key" | "value") =>
    lines(loads, (i) =>
      guarded(
        i,
        `put(${what === "value" ? `${valuesAt}u` : "0u"}, thread + ${i * threads}u, ${what}_load${i});`,
      ),
    );
  /** Output matrices through the memory of the scores, as many of each subgroup as it has scores; `body` sees a lane's row. */
  const throughScores = (body: (first: number, count: number) => string, back: boolean) =>
    lines(Math.ceil(ownD / ownKeys), (part) => {
      const first = part * ownKeys;
      const count = Math.min(ownKeys, ownD - first);
      const each = (line: (r: number, i: number) => string) =>
        rows.map((r) => lines(count, (i) => line(r, i))).join("\n");
      return `workgroupBarrier();
${each((r, i) => `subgroupMatrixStore<row_major>(&scores, ${scoreAt(r, i)}, o${r}_${first + i}, ${rowK}u);`)}
workgroupBarrier();
${body(first, count)}${
  back
    ? `
workgroupBarrier();
${each((r, i) => `o${r}_${first + i} = subgroupMatrixLoad<subgroup_matrix_result<f32, ${SIDE}, ${SIDE}>, row_major>(&scores, ${scoreAt(r, i)}, ${rowK}u);`)}`
    : ""
}`;
    });
  const next = (body: string) => `if (k0 + ${o.keys}u < segment.end) {\n${indent(body, 2)}\n}`;
  return /* wgsl */ `${attentionPrelude(shape, queries, true)}
var<workgroup> staged: array<vec4<f16>, ${stagedRows(o) * rowD}>;
var<workgroup> scores: array<vec4f, ${queries * rowK}>;
var<workgroup> weights: array<vec4<f16>, ${queries * rowK}>;
// The first is set where outputs must be scaled; four, because matrices want variables of multiples of 16 bytes.
var<workgroup> outgrown: array<atomic<u32>, 4>;

fn put(base: u32, i: u32, v: vec4u) {
  let at = base + (i / ${units}u) * ${rowD}u + 2u * (i % ${units}u);
  staged[at] = bitcast<vec4<f16>>(v.xy);
  staged[at + 1u] = bitcast<vec4<f16>>(v.zw);
}
${computeMain(
  threads,
  /* wgsl */ `
  if (workgroup >= params.count) { return; }
  let t = find_tile(workgroup);
  // The subgroup's first query, and which part of keys and channels it has.
  let own_row = subgroup / ${split}u * ${split * SIDE}u;
  let own_part = subgroup % ${split}u;
  let own_scores = own_row * ${rowK}u + own_part * ${(ownKeys * SIDE) / 4}u;
${rows
  .map(
    (
      r,
    ) => `${r > 0 ? "  workgroupBarrier();\n" : ""}  // Staged, because rows past the end of the tile repeat its last query.
  for (var i = thread; i < ${(queries / split) * units}u; i += ${threads}u) {
    let staged_row = i / ${units}u;
    let query_row = staged_row / ${SIDE}u * ${split * SIDE}u + ${r * SIDE}u + staged_row % ${SIDE}u;
    put(0u, i, query8(t, min(t.first + query_row, t.end - 1u), i % ${units}u));
  }
  workgroupBarrier();
${lines(dBlocks, (i) => `  let q${r}_${i} = ${load("left", "row", "staged", `own_row / ${split}u * ${rowD}u + ${(i * SIDE) / 4}u`, rowD)};`)}`,
  )
  .join("\n")}
${rows.map((r) => lines(ownD, (i) => `  var o${r}_${i} = subgroup_matrix_result<f32, ${SIDE}, ${SIDE}>(0.0);`)).join("\n")}
  // Two lanes share a row of scores, and take four in turn.
  let row = subgroup * ${SIDE}u + lane / 2u;
  let side = lane % 2u;
  let scores_at = row * ${rowK}u + side;
  var m = ${LOWEST};
  var l = 0.0;
${lines(loads, (i) => `  var key_load${i} = vec4u();\n  var value_load${i} = vec4u();`)}

  for (var i = 0u; i < t.segments; i++) {
    let segment = find_segment(t, i);
    // Nothing is fetched from where no key is.
    if (segment.start >= segment.end) { continue; }
${indent(fetch("key", "segment.start"), 4)}
    workgroupBarrier();
${indent(put("key"), 4)}
    workgroupBarrier();
    for (var k0 = segment.start; k0 < segment.end; k0 += ${o.keys}u) {
      // 1. Scores, while this step's values and the next one's keys travel.
${indent(fetch("value"), 6)}
${indent(next(fetch("key", `k0 + ${o.keys}u`)), 6)}
${rows.map((r) => lines(ownKeys, (j) => `      var s${r}_${j} = subgroup_matrix_result<f32, ${SIDE}, ${SIDE}>(0.0);`)).join("\n")}
${lines(dBlocks, (d) =>
  lines(
    ownKeys,
    (
      j,
    ) => `      let k${d}_${j} = ${load("right", "col", "staged", `own_part * ${ownKeys * SIDE * rowD}u + ${j * SIDE * rowD + (d * SIDE) / 4}u`, rowD)};
${rows.map((r) => `      s${r}_${j} = subgroupMatrixMultiplyAccumulate(q${r}_${d}, k${d}_${j}, s${r}_${j});`).join("\n")}`,
  ),
)}
${rows.map((r) => lines(ownKeys, (j) => `      subgroupMatrixStore<row_major>(&scores, ${scoreAt(r, j)}, s${r}_${j}, ${rowK}u);`)).join("\n")}
      if (thread == 0u) { atomicStore(&outgrown[0], 0u); }
      workgroupBarrier();

      // 2. This lane's half of the weights of a row, in units of log2.
${indent(put("value"), 6)}
${indent(next(put("key")), 6)}
${lines(quads, (k) => `      var p${k} = scores[scores_at + ${2 * k}u] * params.scale;`)}
      if (k0 + ${o.keys}u > segment.end) {
        let left = segment.end - k0;
${lines(quads, (k) => `        p${k} = select(vec4f(${MASKED}), p${k}, vec4u(0, 1, 2, 3) + ${8 * k}u + 4u * side < vec4u(left));`)}
      }
      let tops = ${tree(weight, (a, b) => `max(${a}, ${b})`)};
      let side_top = max(max(tops.x, tops.y), max(tops.z, tops.w));
      let top = max(side_top, subgroupShuffleXor(side_top, 1u));
      let grows = top > m + ${LAG}.0;
      let shrink = select(1.0, exp2(m - top), grows);
      m = select(m, top, grows);
      if (grows) { atomicStore(&outgrown[0], 1u); }
${lines(quads, (k) => `      p${k} = exp2(p${k} - m);`)}
      let sums = ${tree(weight, (a, b) => `(${a} + ${b})`)};
      l = l * shrink + ((sums.x + sums.y) + (sums.z + sums.w));
${lines(quads, (k) => `      weights[scores_at + ${2 * k}u] = vec4<f16>(p${k});`)}
      // This load waits for all threads, before and after.
      if (workgroupUniformLoad(&outgrown[0]) != 0u) {
${indent(
  throughScores(
    () => `for (var k = 0u; k < ${2 * quads}u; k += 2u) { scores[scores_at + k] *= shrink; }`,
    true,
  ),
  8,
)}
      }

      // 3. Output += weights times values. Keys past the end weigh 0 and repeat the last value, which is finite.
${lines(
  keyBlocks,
  (
    k,
  ) => `${rows.map((r) => `      let w${r}_${k} = ${load("left", "row", "weights", `(own_row + ${r * SIDE}u) * ${rowK}u + ${(k * SIDE) / 4}u`, rowK)};`).join("\n")}
${lines(
  ownD,
  (
    d,
  ) => `      let v${k}_${d} = ${load("right", "row", "staged", `own_part * ${(ownD * SIDE) / 4}u + ${valuesAt + k * SIDE * rowD + (d * SIDE) / 4}u`, rowD)};
${rows.map((r) => `      o${r}_${d} = subgroupMatrixMultiplyAccumulate(w${r}_${k}, v${k}_${d}, o${r}_${d});`).join("\n")}`,
)}`,
)}
    }
  }

  // 4. Divide once, store.
  l += subgroupShuffleXor(l, 1u);
  let inverse = select(1.0 / l, 0.0, l == 0.0);
  let token = t.first + row;
${indent(
  throughScores((first, count) => {
    const width = (count * SIDE) / 4;
    return `if (token < t.end) {
  for (var part = 0u; part < ${split}u; part++) {
    for (var k = side; k < ${width}u; k += 2u) {
      result4(t, token, part * ${(ownD * SIDE) / 4}u + ${(first * SIDE) / 4}u + k, inverse * scores[row * ${rowK}u + part * ${(ownKeys * SIDE) / 4}u + k]);
    }
  }
}`;
  }, false),
  2,
)}
${shape.logSumExp ? "  if (side == 0u && token < t.end) { store_log_sum_exp(t, token, m, l); }" : ""}`,
  true,
)}`;
}
