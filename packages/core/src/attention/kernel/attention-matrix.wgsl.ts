/**
 * Attention by subgroup matrices: operands in the type that the device multiplies (f16, rounded, or f32), sums and softmax in
 * f32. Keys and values pass through workgroup memory, and the output stays in the subgroups' matrices. A matrix can not be
 * scaled by rows in place, so the running maximum may lag behind by `LAG`: the outputs are scaled (through workgroup memory)
 * only where a score outgrows it by more, which after the first keys is rare. The final division makes up for it exactly.
 */
import {
  computeMain,
  indent,
  lines,
  type MatrixNeeds,
  matrixRead,
  matrixStaged,
  matrixSubgroups,
  type OfProduct,
  productKey,
  productOf,
  tree,
} from "@lvsa/runtime";
import { type AttentionShape, attentionPrelude, LOWEST, MASKED } from "./attention-common.wgsl.js";

/**
 * Scores are `m x n` matrices of queries by keys, from `k` channels at a time; outputs `m x n` of queries by channels, from
 * `k` keys at a time. Heads are whole matrices both ways, and loads of eight channels.
 */
export interface MatrixAttention extends OfProduct {
  readonly subgroups: number;
  /** Keys per step: whole matrices both ways, and whole vectors of four for each lane of a row. */
  readonly keys: number;
  /**
   * 2: two subgroups share two rows of matrices, each with half of the keys of a step and half of the channels of the output, so
   * that a matrix from workgroup memory serves two products. 1 (default): each has a row of matrices, all keys, all channels.
   */
  readonly split?: 1 | 2;
}

/** In units of log2: weights of up to 256 lose nothing as f16. */
const LAG = 8;

export const matrixQueries = (o: MatrixAttention): number => productOf(o).m * o.subgroups;

const isHalf = (o: MatrixAttention) => productOf(o).component === "f16";
/** Operands from row to row of staged ones: 16 bytes of padding keep banks apart. */
const stride = (o: MatrixAttention, width: number) => width + (isHalf(o) ? 8 : 4);
/** Scores from row to row, and weights. */
const scoreStride = (o: MatrixAttention) => o.keys + 8;
/** Rows of memory for keys and, apart from them, values: three barriers per step. Queries pass through it first, one row of matrices of each subgroup at a time. */
const stagedRows = (o: MatrixAttention) => Math.max(matrixQueries(o) / (o.split ?? 1), 2 * o.keys);

export function matrixAttentionNeeds(headDim: number, o: MatrixAttention): MatrixNeeds {
  const size = isHalf(o) ? 2 : 4;
  const scores = (4 + size) * matrixQueries(o) * scoreStride(o);
  return {
    bytes: size * stagedRows(o) * stride(o, headDim) + scores + 16,
    threads: productOf(o).lanes * o.subgroups,
  };
}

/** Text that two different kernels never share. */
export function matrixAttentionKey(o: MatrixAttention): string {
  return `matrix-${o.subgroups}x${o.keys}${o.split === 2 ? "-split" : ""}${productKey(o)}`;
}

export function matrixKernelBody(shape: AttentionShape, o: MatrixAttention): string {
  const D = shape.headDim;
  const { component, m, n, k: depth, lanes } = productOf(o);
  const split = o.split ?? 1;
  const queries = matrixQueries(o);
  const { threads } = matrixAttentionNeeds(D, o);
  const read = matrixRead(o);
  const { type, fours } = matrixStaged(o);
  const units = D / 8; // loads of 16 bytes per token
  const total = o.keys * units;
  const loads = Math.ceil(total / threads);
  const [rowD, rowK] = [stride(o, D) / 4, scoreStride(o) / 4];
  const [ownKeys, ownD] = [o.keys / n / split, D / n / split]; // matrices of one subgroup
  const sides = lanes / m; // lanes that share a row of scores
  const quads = o.keys / (4 * sides); // times four scores of a row that one of its lanes handles
  const valuesAt = o.keys * rowD;
  const rows = Array.from({ length: split }, (_, r) => r);
  const weight = Array.from({ length: quads }, (_, k) => `p${k}`);
  const sizes = { left: `${depth}, ${m}`, right: `${n}, ${depth}` } as const;
  const load = (side: "left" | "right", order: "row" | "col", from: string, at: string, row: number) =>
    `subgroupMatrixLoad<subgroup_matrix_${side}<${component}, ${sizes[side]}>, ${order}_major>(&${from}, ${at}, ${row}u)`;
  const result = `subgroup_matrix_result<f32, ${n}, ${m}>`;
  /** Where a subgroup's scores of row block r and key block j lie, and its outputs on their way. */
  const scoreAt = (r: number, j: number) => `own_scores + ${r * m * rowK + (j * n) / 4}u`;

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
${each((r, i) => `o${r}_${first + i} = subgroupMatrixLoad<${result}, row_major>(&scores, ${scoreAt(r, i)}, ${rowK}u);`)}`
    : ""
}`;
    });
  /** What all lanes of a row have of a value, as `name`. */
  const overRow = (value: string, join: (a: string, b: string) => string, name: string) => {
    const steps = Math.log2(sides);
    const named = (i: number) => (i === 0 ? value : i === steps ? name : `${name}${2 ** i}`);
    return lines(
      steps,
      (i) => `      let ${named(i + 1)} = ${join(named(i), `subgroupShuffleXor(${named(i)}, ${2 ** i}u)`)};`,
    );
  };
  const next = (body: string) => `if (k0 + ${o.keys}u < segment.end) {\n${indent(body, 2)}\n}`;
  return /* wgsl */ `${attentionPrelude(shape, queries, read)}
var<workgroup> staged: array<${type}, ${stagedRows(o) * rowD}>;
var<workgroup> scores: array<vec4f, ${queries * rowK}>;
var<workgroup> weights: array<${type}, ${queries * rowK}>;
// The first is set where outputs must be scaled; four, because matrices want variables of multiples of 16 bytes.
var<workgroup> outgrown: array<atomic<u32>, 4>;

fn put(base: u32, i: u32, v: ${read.type}) {
  let at = base + (i / ${units}u) * ${rowD}u + 2u * (i % ${units}u);
  staged[at] = ${fours("v")[0]};
  staged[at + 1u] = ${fours("v")[1]};
}
${computeMain(
  threads,
  /* wgsl */ `
  if (workgroup >= params.count) { return; }
  let t = find_tile(workgroup);
  // The subgroup's first query, and which part of keys and channels it has.
  let own_row = subgroup / ${split}u * ${split * m}u;
  let own_part = subgroup % ${split}u;
  let own_scores = own_row * ${rowK}u + own_part * ${(ownKeys * n) / 4}u;
${rows
  .map(
    (
      r,
    ) => `${r > 0 ? "  workgroupBarrier();\n" : ""}  // Staged, because rows past the end of the tile repeat its last query.
  for (var i = thread; i < ${(queries / split) * units}u; i += ${threads}u) {
    let staged_row = i / ${units}u;
    let query_row = staged_row / ${m}u * ${split * m}u + ${r * m}u + staged_row % ${m}u;
    put(0u, i, query8(t, min(t.first + query_row, t.end - 1u), i % ${units}u));
  }
  workgroupBarrier();
${lines(D / depth, (i) => `  let q${r}_${i} = ${load("left", "row", "staged", `own_row / ${split}u * ${rowD}u + ${(i * depth) / 4}u`, rowD)};`)}`,
  )
  .join("\n")}
${rows.map((r) => lines(ownD, (i) => `  var o${r}_${i} = ${result}(0.0);`)).join("\n")}
  // The lanes of a row of scores take four of it in turn.
  let row = subgroup * ${m}u + lane / ${sides}u;
  let side = lane % ${sides}u;
  let scores_at = row * ${rowK}u + side;
  var m = ${LOWEST};
  var l = 0.0;
${lines(loads, (i) => `  var key_load${i} = ${read.type}();\n  var value_load${i} = ${read.type}();`)}

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
${rows.map((r) => lines(ownKeys, (j) => `      var s${r}_${j} = ${result}(0.0);`)).join("\n")}
${lines(D / depth, (d) =>
  lines(
    ownKeys,
    (
      j,
    ) => `      let k${d}_${j} = ${load("right", "col", "staged", `own_part * ${ownKeys * n * rowD}u + ${j * n * rowD + (d * depth) / 4}u`, rowD)};
${rows.map((r) => `      s${r}_${j} = subgroupMatrixMultiplyAccumulate(q${r}_${d}, k${d}_${j}, s${r}_${j});`).join("\n")}`,
  ),
)}
${rows.map((r) => lines(ownKeys, (j) => `      subgroupMatrixStore<row_major>(&scores, ${scoreAt(r, j)}, s${r}_${j}, ${rowK}u);`)).join("\n")}
      if (thread == 0u) { atomicStore(&outgrown[0], 0u); }
      workgroupBarrier();

      // 2. This lane's part of the weights of a row, in units of log2.
${indent(put("value"), 6)}
${indent(next(put("key")), 6)}
${lines(quads, (k) => `      var p${k} = scores[scores_at + ${sides * k}u] * params.scale;`)}
      if (k0 + ${o.keys}u > segment.end) {
        let left = segment.end - k0;
${lines(quads, (k) => `        p${k} = select(vec4f(${MASKED}), p${k}, vec4u(0, 1, 2, 3) + ${4 * sides * k}u + 4u * side < vec4u(left));`)}
      }
      let tops = ${tree(weight, (a, b) => `max(${a}, ${b})`)};
      let side_top = max(max(tops.x, tops.y), max(tops.z, tops.w));
${overRow("side_top", (a, b) => `max(${a}, ${b})`, "top")}
      let grows = top > m + ${LAG}.0;
      let shrink = select(1.0, exp2(m - top), grows);
      m = select(m, top, grows);
      if (grows) { atomicStore(&outgrown[0], 1u); }
${lines(quads, (k) => `      p${k} = exp2(p${k} - m);`)}
      let sums = ${tree(weight, (a, b) => `(${a} + ${b})`)};
      l = l * shrink + ((sums.x + sums.y) + (sums.z + sums.w));
${lines(quads, (k) => `      weights[scores_at + ${sides * k}u] = ${isHalf(o) ? `vec4<f16>(p${k})` : `p${k}`};`)}
      // This load waits for all threads, before and after.
      if (workgroupUniformLoad(&outgrown[0]) != 0u) {
${indent(
  throughScores(
    () => `for (var k = 0u; k < ${sides * quads}u; k += ${sides}u) { scores[scores_at + k] *= shrink; }`,
    true,
  ),
  8,
)}
      }

      // 3. Output += weights times values. Keys past the end weigh 0 and repeat the last value, which is finite.
${lines(
  o.keys / depth,
  (
    k,
  ) => `${rows.map((r) => `      let w${r}_${k} = ${load("left", "row", "weights", `(own_row + ${r * m}u) * ${rowK}u + ${(k * depth) / 4}u`, rowK)};`).join("\n")}
${lines(
  ownD,
  (
    d,
  ) => `      let v${k}_${d} = ${load("right", "row", "staged", `own_part * ${(ownD * n) / 4}u + ${valuesAt + k * depth * rowD + (d * n) / 4}u`, rowD)};
${rows.map((r) => `      o${r}_${d} = subgroupMatrixMultiplyAccumulate(w${r}_${k}, v${k}_${d}, o${r}_${d});`).join("\n")}`,
)}`,
)}
    }
  }

  // 4. Divide once, store.
${lines(Math.log2(sides), (i) => `  l += subgroupShuffleXor(l, ${2 ** i}u);`)}
  let inverse = select(1.0 / l, 0.0, l == 0.0);
  let token = t.first + row;
${indent(
  throughScores((first, count) => {
    const width = (count * n) / 4;
    return `if (token < t.end) {
  for (var part = 0u; part < ${split}u; part++) {
    for (var k = side; k < ${width}u; k += ${sides}u) {
      result4(t, token, part * ${(ownD * n) / 4}u + ${(first * n) / 4}u + k, inverse * scores[row * ${rowK}u + part * ${(ownKeys * n) / 4}u + k]);
    }
  }
}`;
  }, false),
  2,
)}
${shape.logSumExp ? "  if (side == 0u && token < t.end) { store_log_sum_exp(t, token, m, l); }" : ""}`,
  matrixSubgroups(o),
)}`;
}
