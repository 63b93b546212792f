enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
struct Params {
  first: u32,
  count: u32,
  tiles: u32,
  batch: u32,
  queries: u32,
  keys: u32,
  contextKeys: u32,
  heads: u32,
  kvHeads: u32,
  rangesAt: u32,
  tilesAt: u32,
  keyStart: u32,
  keyEnd: u32,
  queryStart: u32,
  one: u32,
  scale: f32,
}
@group(0) @binding(0) var<storage, read> query: array<vec4u>;
@group(0) @binding(1) var<storage, read> key: array<vec4u>;
@group(0) @binding(2) var<storage, read> value: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> result: array<vec2u>;
@group(0) @binding(4) var<uniform> params: Params;
const DV = 32u;
const TILE = 128u;
const UNITS = 16u;
fn halves_query(i: u32) -> vec4u { return query[i]; }
fn halves_key(i: u32) -> vec4u { return key[i]; }
fn halves_value(i: u32) -> vec4u { return value[i]; }

fn store4_result(i: u32, v: vec4f) { result[i] = vec2u(pack2x16float(v.xy), pack2x16float(v.zw)); }

struct Tile { head: u32, kv_head: u32, batch: u32, row: u32, first: u32, end: u32, range: u32, segments: u32, context_end: u32 }
struct Segment { in_context: bool, start: u32, end: u32 }

fn find_tile(linear: u32) -> Tile {
  let job = params.first + linear;
  let tile = job % params.tiles;
  var t: Tile;
  t.head = (job / params.tiles) % params.heads;
  t.kv_head = t.head / (params.heads / params.kvHeads);
  t.batch = params.batch + job / (params.tiles * params.heads);
  t.first = tile * TILE;
  t.end = params.queries;
  t.segments = 1u;
  t.context_end = params.contextKeys;

  return t;
}

fn find_segment(t: Tile, i: u32) -> Segment {
  var s: Segment;

  s.start = params.keyStart;
  s.end = params.keyEnd;

  return s;
}

fn query8(t: Tile, token: u32, d: u32) -> vec4u {
  return halves_query(((t.batch * params.queries + token) * params.heads + t.head) * UNITS + d);
}
fn kv_at(t: Tile, in_context: bool, token: u32) -> u32 {
  return ((t.batch * params.keys + token) * params.kvHeads + t.kv_head) * UNITS;
}
fn key8(in_context: bool, i: u32) -> vec4u {
  return halves_key(i);
}
fn value8(in_context: bool, i: u32) -> vec4u {
  return halves_value(i);
}
fn result4(t: Tile, token: u32, d: u32, v: vec4f) {
  store4_result(((t.batch * params.queries + token) * params.heads + t.head) * DV + d, v);
}


var<workgroup> staged: array<vec4<f16>, 2176>;
var<workgroup> scores: array<vec4f, 1280>;
var<workgroup> weights: array<vec4<f16>, 1280>;
// The first is set where outputs must be scaled; four, because matrices want variables of multiples of 16 bytes.
var<workgroup> outgrown: array<atomic<u32>, 4>;

fn put(base: u32, i: u32, v: vec4u) {
  let at = base + (i / 16u) * 34u + 2u * (i % 16u);
  staged[at] = bitcast<vec4<f16>>(v.xy);
  staged[at + 1u] = bitcast<vec4<f16>>(v.zw);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32, @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_id) subgroup: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  if (workgroup >= params.count) { return; }
  let t = find_tile(workgroup);
  // The subgroup's first query, and which part of keys and channels it has.
  let own_row = subgroup / 2u * 32u;
  let own_part = subgroup % 2u;
  let own_scores = own_row * 10u + own_part * 4u;
  // Staged, because rows past the end of the tile repeat its last query.
  for (var i = thread; i < 1024u; i += 256u) {
    let staged_row = i / 16u;
    let query_row = staged_row / 16u * 32u + 0u + staged_row % 16u;
    put(0u, i, query8(t, min(t.first + query_row, t.end - 1u), i % 16u));
  }
  workgroupBarrier();
  let q0_0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 0u, 34u);
  let q0_1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 4u, 34u);
  let q0_2 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 8u, 34u);
  let q0_3 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 12u, 34u);
  let q0_4 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 16u, 34u);
  let q0_5 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 20u, 34u);
  let q0_6 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 24u, 34u);
  let q0_7 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 28u, 34u);
  workgroupBarrier();
  // Staged, because rows past the end of the tile repeat its last query.
  for (var i = thread; i < 1024u; i += 256u) {
    let staged_row = i / 16u;
    let query_row = staged_row / 16u * 32u + 16u + staged_row % 16u;
    put(0u, i, query8(t, min(t.first + query_row, t.end - 1u), i % 16u));
  }
  workgroupBarrier();
  let q1_0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 0u, 34u);
  let q1_1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 4u, 34u);
  let q1_2 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 8u, 34u);
  let q1_3 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 12u, 34u);
  let q1_4 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 16u, 34u);
  let q1_5 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 20u, 34u);
  let q1_6 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 24u, 34u);
  let q1_7 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, own_row / 2u * 34u + 28u, 34u);
  var o0_0 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var o0_1 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var o0_2 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var o0_3 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var o1_0 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var o1_1 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var o1_2 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var o1_3 = subgroup_matrix_result<f32, 16, 16>(0.0);
  // The lanes of a row of scores take four of it in turn.
  let row = subgroup * 16u + lane / 2u;
  let side = lane % 2u;
  let scores_at = row * 10u + side;
  var m = -1e30;
  var l = 0.0;
  var key_load0 = vec4u();
  var value_load0 = vec4u();
  var key_load1 = vec4u();
  var value_load1 = vec4u();

  for (var i = 0u; i < t.segments; i++) {
    let segment = find_segment(t, i);
    // Nothing is fetched from where no key is.
    if (segment.start >= segment.end) { continue; }
    key_load0 = key8(segment.in_context, kv_at(t, segment.in_context, min(segment.start + (thread + 0u) / 16u, segment.end - 1u)) + (thread + 0u) % 16u);
    key_load1 = key8(segment.in_context, kv_at(t, segment.in_context, min(segment.start + (thread + 256u) / 16u, segment.end - 1u)) + (thread + 256u) % 16u);
    workgroupBarrier();
    put(0u, thread + 0u, key_load0);
    put(0u, thread + 256u, key_load1);
    workgroupBarrier();
    for (var k0 = segment.start; k0 < segment.end; k0 += 32u) {
      // 1. Scores, while this step's values and the next one's keys travel.
      value_load0 = value8(segment.in_context, kv_at(t, segment.in_context, min(k0 + (thread + 0u) / 16u, segment.end - 1u)) + (thread + 0u) % 16u);
      value_load1 = value8(segment.in_context, kv_at(t, segment.in_context, min(k0 + (thread + 256u) / 16u, segment.end - 1u)) + (thread + 256u) % 16u);
      if (k0 + 32u < segment.end) {
        key_load0 = key8(segment.in_context, kv_at(t, segment.in_context, min(k0 + 32u + (thread + 0u) / 16u, segment.end - 1u)) + (thread + 0u) % 16u);
        key_load1 = key8(segment.in_context, kv_at(t, segment.in_context, min(k0 + 32u + (thread + 256u) / 16u, segment.end - 1u)) + (thread + 256u) % 16u);
      }
      var s0_0 = subgroup_matrix_result<f32, 16, 16>(0.0);
      var s1_0 = subgroup_matrix_result<f32, 16, 16>(0.0);
      let k0_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, own_part * 544u + 0u, 34u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_0, k0_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_0, k0_0, s1_0);
      let k1_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, own_part * 544u + 4u, 34u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_1, k1_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_1, k1_0, s1_0);
      let k2_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, own_part * 544u + 8u, 34u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_2, k2_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_2, k2_0, s1_0);
      let k3_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, own_part * 544u + 12u, 34u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_3, k3_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_3, k3_0, s1_0);
      let k4_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, own_part * 544u + 16u, 34u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_4, k4_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_4, k4_0, s1_0);
      let k5_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, own_part * 544u + 20u, 34u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_5, k5_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_5, k5_0, s1_0);
      let k6_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, own_part * 544u + 24u, 34u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_6, k6_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_6, k6_0, s1_0);
      let k7_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, own_part * 544u + 28u, 34u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_7, k7_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_7, k7_0, s1_0);
      subgroupMatrixStore<row_major>(&scores, own_scores + 0u, s0_0, 10u);
      subgroupMatrixStore<row_major>(&scores, own_scores + 160u, s1_0, 10u);
      if (thread == 0u) { atomicStore(&outgrown[0], 0u); }
      workgroupBarrier();

      // 2. This lane's part of the weights of a row, in units of log2.
      put(1088u, thread + 0u, value_load0);
      put(1088u, thread + 256u, value_load1);
      if (k0 + 32u < segment.end) {
        put(0u, thread + 0u, key_load0);
        put(0u, thread + 256u, key_load1);
      }
      var p0 = scores[scores_at + 0u] * params.scale;
      var p1 = scores[scores_at + 2u] * params.scale;
      var p2 = scores[scores_at + 4u] * params.scale;
      var p3 = scores[scores_at + 6u] * params.scale;
      if (k0 + 32u > segment.end) {
        let left = segment.end - k0;
        p0 = select(vec4f(-3e38), p0, vec4u(0, 1, 2, 3) + 0u + 4u * side < vec4u(left));
        p1 = select(vec4f(-3e38), p1, vec4u(0, 1, 2, 3) + 8u + 4u * side < vec4u(left));
        p2 = select(vec4f(-3e38), p2, vec4u(0, 1, 2, 3) + 16u + 4u * side < vec4u(left));
        p3 = select(vec4f(-3e38), p3, vec4u(0, 1, 2, 3) + 24u + 4u * side < vec4u(left));
      }
      let tops = max(max(p0, p1), max(p2, p3));
      let side_top = max(max(tops.x, tops.y), max(tops.z, tops.w));
      let top = max(side_top, subgroupShuffleXor(side_top, 1u));
      let grows = top > m + 8.0;
      let shrink = select(1.0, exp2(m - top), grows);
      m = select(m, top, grows);
      if (grows) { atomicStore(&outgrown[0], 1u); }
      p0 = exp2(p0 - m);
      p1 = exp2(p1 - m);
      p2 = exp2(p2 - m);
      p3 = exp2(p3 - m);
      let sums = ((p0 + p1) + (p2 + p3));
      l = l * shrink + ((sums.x + sums.y) + (sums.z + sums.w));
      weights[scores_at + 0u] = vec4<f16>(p0);
      weights[scores_at + 2u] = vec4<f16>(p1);
      weights[scores_at + 4u] = vec4<f16>(p2);
      weights[scores_at + 6u] = vec4<f16>(p3);
      // This load waits for all threads, before and after.
      if (workgroupUniformLoad(&outgrown[0]) != 0u) {
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_0, 10u);
        subgroupMatrixStore<row_major>(&scores, own_scores + 160u, o1_0, 10u);
        workgroupBarrier();
        for (var k = 0u; k < 8u; k += 2u) { scores[scores_at + k] *= shrink; }
        workgroupBarrier();
        o0_0 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, own_scores + 0u, 10u);
        o1_0 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, own_scores + 160u, 10u);
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_1, 10u);
        subgroupMatrixStore<row_major>(&scores, own_scores + 160u, o1_1, 10u);
        workgroupBarrier();
        for (var k = 0u; k < 8u; k += 2u) { scores[scores_at + k] *= shrink; }
        workgroupBarrier();
        o0_1 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, own_scores + 0u, 10u);
        o1_1 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, own_scores + 160u, 10u);
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_2, 10u);
        subgroupMatrixStore<row_major>(&scores, own_scores + 160u, o1_2, 10u);
        workgroupBarrier();
        for (var k = 0u; k < 8u; k += 2u) { scores[scores_at + k] *= shrink; }
        workgroupBarrier();
        o0_2 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, own_scores + 0u, 10u);
        o1_2 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, own_scores + 160u, 10u);
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_3, 10u);
        subgroupMatrixStore<row_major>(&scores, own_scores + 160u, o1_3, 10u);
        workgroupBarrier();
        for (var k = 0u; k < 8u; k += 2u) { scores[scores_at + k] *= shrink; }
        workgroupBarrier();
        o0_3 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, own_scores + 0u, 10u);
        o1_3 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, own_scores + 160u, 10u);
      }

      // 3. Output += weights times values. Keys past the end weigh 0 and repeat the last value, which is finite.
      let w0_0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&weights, (own_row + 0u) * 10u + 0u, 10u);
      let w1_0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&weights, (own_row + 16u) * 10u + 0u, 10u);
      let v0_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, own_part * 16u + 1088u, 34u);
      o0_0 = subgroupMatrixMultiplyAccumulate(w0_0, v0_0, o0_0);
      o1_0 = subgroupMatrixMultiplyAccumulate(w1_0, v0_0, o1_0);
      let v0_1 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, own_part * 16u + 1092u, 34u);
      o0_1 = subgroupMatrixMultiplyAccumulate(w0_0, v0_1, o0_1);
      o1_1 = subgroupMatrixMultiplyAccumulate(w1_0, v0_1, o1_1);
      let v0_2 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, own_part * 16u + 1096u, 34u);
      o0_2 = subgroupMatrixMultiplyAccumulate(w0_0, v0_2, o0_2);
      o1_2 = subgroupMatrixMultiplyAccumulate(w1_0, v0_2, o1_2);
      let v0_3 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, own_part * 16u + 1100u, 34u);
      o0_3 = subgroupMatrixMultiplyAccumulate(w0_0, v0_3, o0_3);
      o1_3 = subgroupMatrixMultiplyAccumulate(w1_0, v0_3, o1_3);
      let w0_1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&weights, (own_row + 0u) * 10u + 4u, 10u);
      let w1_1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&weights, (own_row + 16u) * 10u + 4u, 10u);
      let v1_0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, own_part * 16u + 1632u, 34u);
      o0_0 = subgroupMatrixMultiplyAccumulate(w0_1, v1_0, o0_0);
      o1_0 = subgroupMatrixMultiplyAccumulate(w1_1, v1_0, o1_0);
      let v1_1 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, own_part * 16u + 1636u, 34u);
      o0_1 = subgroupMatrixMultiplyAccumulate(w0_1, v1_1, o0_1);
      o1_1 = subgroupMatrixMultiplyAccumulate(w1_1, v1_1, o1_1);
      let v1_2 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, own_part * 16u + 1640u, 34u);
      o0_2 = subgroupMatrixMultiplyAccumulate(w0_1, v1_2, o0_2);
      o1_2 = subgroupMatrixMultiplyAccumulate(w1_1, v1_2, o1_2);
      let v1_3 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, own_part * 16u + 1644u, 34u);
      o0_3 = subgroupMatrixMultiplyAccumulate(w0_1, v1_3, o0_3);
      o1_3 = subgroupMatrixMultiplyAccumulate(w1_1, v1_3, o1_3);
    }
  }

  // 4. Divide once, store.
  l += subgroupShuffleXor(l, 1u);
  let inverse = select(1.0 / l, 0.0, l == 0.0);
  let token = t.first + row;
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_0, 10u);
  subgroupMatrixStore<row_major>(&scores, own_scores + 160u, o1_0, 10u);
  workgroupBarrier();
  if (token < t.end) {
    for (var part = 0u; part < 2u; part++) {
      for (var k = side; k < 4u; k += 2u) {
        result4(t, token, part * 16u + 0u + k, inverse * scores[row * 10u + part * 4u + k]);
      }
    }
  }
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_1, 10u);
  subgroupMatrixStore<row_major>(&scores, own_scores + 160u, o1_1, 10u);
  workgroupBarrier();
  if (token < t.end) {
    for (var part = 0u; part < 2u; part++) {
      for (var k = side; k < 4u; k += 2u) {
        result4(t, token, part * 16u + 4u + k, inverse * scores[row * 10u + part * 4u + k]);
      }
    }
  }
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_2, 10u);
  subgroupMatrixStore<row_major>(&scores, own_scores + 160u, o1_2, 10u);
  workgroupBarrier();
  if (token < t.end) {
    for (var part = 0u; part < 2u; part++) {
      for (var k = side; k < 4u; k += 2u) {
        result4(t, token, part * 16u + 8u + k, inverse * scores[row * 10u + part * 4u + k]);
      }
    }
  }
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_3, 10u);
  subgroupMatrixStore<row_major>(&scores, own_scores + 160u, o1_3, 10u);
  workgroupBarrier();
  if (token < t.end) {
    for (var part = 0u; part < 2u; part++) {
      for (var k = side; k < 4u; k += 2u) {
        result4(t, token, part * 16u + 12u + k, inverse * scores[row * 10u + part * 4u + k]);
      }
    }
  }
}
