/**
 * Attention for adapters with narrow subgroups of fixed size S, which is what software adapters have: one subgroup
 * takes 2 S queries of one head. For the scores a lane is a query, and keys are broadcast; for the output a lane
 * is a slice of the channels, and weights are broadcast. Softmax stays inside a lane and there is no barrier.
 */
import { computeMain, lines, tree } from "@lvsa/runtime";
import { type AttentionShape, attentionPrelude, hidden, LOWEST, MASKED } from "./attention-common.wgsl.js";

/** Queries, and keys, per lane: fewer for wide heads, whose outputs are many registers and slow to compile. */
const perLane = (headDim: number): number => (headDim > 128 ? 1 : 2);

export const subgroupQueries = (subgroupSize: number, headDim: number): number =>
  perLane(headDim) * subgroupSize;

export interface SubgroupOptions {
  readonly subgroupSize: number;
}

export function subgroupKernelBody(shape: AttentionShape, o: SubgroupOptions): string {
  const S = o.subgroupSize;
  const dv = shape.headDim / 4;
  const PER = perLane(shape.headDim);
  const columns = Math.ceil(dv / S);
  const full = dv % S === 0;
  const n = PER * S; // queries and keys per step
  const range = (count: number) => Array.from({ length: count }, (_, i) => i);
  const adjusted = (q: number, k: number) =>
    shape.causal || shape.relativeBias
      ? `adjust(t, segment.in_context, s${q}_${k}, t.first + ${q * S}u + lane, k0 + ${k}u)`
      : "";

  return /* wgsl */ `${attentionPrelude(shape, n)}
${computeMain(
  S,
  /* wgsl */ `
  if (workgroup >= params.count) { return; }
  let t = find_tile(workgroup);
${lines(PER, (q) => `  var q${q}: array<vec4f, ${dv}>;\n  var m${q} = ${LOWEST};\n  var l${q} = 0.0;`)}
  for (var d = 0u; d < ${hidden(dv)}; d++) {
${lines(PER, (q) => `    q${q}[d] = query4(t, min(t.first + ${q * S}u + lane, t.end - 1u), d) * params.scale;`)}
  }
  var o: array<vec4f, ${n * columns}>; // [query][column]

  for (var i = 0u; i < t.segments; i++) {
    let segment = find_segment(t, i);
    for (var k0 = segment.start; k0 < segment.end; k0 += ${n}u) {
      // 1. Scores: this lane's queries against all keys of the step, in units of log2.
${lines(PER * n, (i) => `      var s${i % PER}_${Math.floor(i / PER)} = 0.0;`)}
${lines(PER, (b) => `      let at${b} = kv_at(t, segment.in_context, min(k0 + ${b * S}u + lane, segment.end - 1u));`)}
      for (var d = 0u; d < ${hidden(dv)}; d++) {
${lines(PER, (q) => `        let query${q} = q${q}[d];`)}
${lines(PER, (b) => `        let key${b} = key4(segment.in_context, at${b} + d);`)}
${lines(
  n,
  (k) =>
    `        { let k = subgroupBroadcast(key${Math.floor(k / S)}, ${k % S}u); ${range(PER)
      .map((q) => `s${q}_${k} += dot(query${q}, k);`)
      .join(" ")} }`,
)}
      }
${shape.causal || shape.relativeBias ? lines(PER * n, (i) => `      s${i % PER}_${Math.floor(i / PER)} = ${adjusted(i % PER, Math.floor(i / PER))};`) : ""}
      if (k0 + ${n}u > segment.end) {
${lines(PER * n, (i) => {
  const s = `s${i % PER}_${Math.floor(i / PER)}`;
  return `        ${s} = select(${s}, ${MASKED}, k0 + ${Math.floor(i / PER)}u >= segment.end);`;
})}
      }

      // 2. Softmax of this lane's queries.
${lines(PER, (q) => {
  const s = range(n).map((k) => `s${q}_${k}`);
  return `      let top${q} = max(m${q}, ${tree(s, (a, b) => `max(${a}, ${b})`)});
      let shrink${q} = exp2(m${q} - top${q});
      m${q} = top${q};
${s.map((name) => `      ${name} = exp2(${name} - top${q});`).join("\n")}
      l${q} = l${q} * shrink${q} + ${tree(s, (a, b) => `(${a} + ${b})`)};`;
})}
      if (subgroupAny(${range(PER)
        .map((q) => `shrink${q} != 1.0`)
        .join(" || ")})) {
${lines(
  n,
  (q) =>
    `        { let f = subgroupBroadcast(shrink${Math.floor(q / S)}, ${q % S}u); ${range(columns)
      .map((c) => `o[${q * columns + c}] *= f;`)
      .join(" ")} }`,
)}
      }

      // 3. Output: this lane's channels of all queries. Keys past the end weigh 0 and repeat the last value.
      let keys = min(${hidden(n)}, segment.end - k0);
${lines(PER, (q) => `      var p${q}: array<f32, ${n}>;`)}
${lines(PER * n, (i) => `      p${i % PER}[${Math.floor(i / PER)}] = s${i % PER}_${Math.floor(i / PER)};`)}
      for (var k = 0u; k < keys; k++) {
        let at = kv_at(t, segment.in_context, k0 + k);
${lines(PER, (q) => `        let w${q} = p${q}[k];`)}
${lines(columns, (c) => `        let v${c} = value4(segment.in_context, at + ${full ? `lane + ${c * S}u` : `min(lane + ${c * S}u, DV - 1u)`});`)}
${lines(
  n,
  (q) =>
    `        { let w = subgroupBroadcast(w${Math.floor(q / S)}, ${q % S}u); ${range(columns)
      .map((c) => `o[${q * columns + c}] += w * v${c};`)
      .join(" ")} }`,
)}
      }
    }
  }

  // 4. Divide once, store.
${lines(PER, (q) => `  let inverse${q} = select(1.0 / l${q}, 0.0, l${q} == 0.0);`)}
${lines(
  n,
  (q) =>
    `  { let f = subgroupBroadcast(inverse${Math.floor(q / S)}, ${q % S}u); ${range(columns)
      .map((c) => `o[${q * columns + c}] *= f;`)
      .join(" ")} }`,
)}
  for (var q = 0u; q < min(${hidden(n)}, t.end - t.first); q++) {
    for (var v = lane; v < ${hidden(dv)}; v += ${S}u) {
      result4(t, t.first + q, v, o[q * ${columns}u + v / ${S}u]);
    }
  }
${
  shape.logSumExp
    ? lines(
        PER,
        (q) =>
          `  if (t.first + ${q * S}u + lane < t.end) { store_log_sum_exp(t, t.first + ${q * S}u + lane, m${q}, l${q}); }`,
      )
    : ""
}`,
  "lone",
)}`;
}
