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
const TILE = 64u;
const UNITS = 16u;
fn floats_query(i: u32) -> mat2x4f { let w = query[i]; return mat2x4f(vec4f(unpack2x16float(w.x), unpack2x16float(w.y)), vec4f(unpack2x16float(w.z), unpack2x16float(w.w))); }
fn floats_key(i: u32) -> mat2x4f { let w = key[i]; return mat2x4f(vec4f(unpack2x16float(w.x), unpack2x16float(w.y)), vec4f(unpack2x16float(w.z), unpack2x16float(w.w))); }
fn floats_value(i: u32) -> mat2x4f { let w = value[i]; return mat2x4f(vec4f(unpack2x16float(w.x), unpack2x16float(w.y)), vec4f(unpack2x16float(w.z), unpack2x16float(w.w))); }

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

fn query8(t: Tile, token: u32, d: u32) -> mat2x4f {
  return floats_query(((t.batch * params.queries + token) * params.heads + t.head) * UNITS + d);
}
fn kv_at(t: Tile, in_context: bool, token: u32) -> u32 {
  return ((t.batch * params.keys + token) * params.kvHeads + t.kv_head) * UNITS;
}
fn key8(in_context: bool, i: u32) -> mat2x4f {
  return floats_key(i);
}
fn value8(in_context: bool, i: u32) -> mat2x4f {
  return floats_value(i);
}
fn result4(t: Tile, token: u32, d: u32, v: vec4f) {
  store4_result(((t.batch * params.queries + token) * params.heads + t.head) * DV + d, v);
}


var<workgroup> staged: array<vec4f, 1056>;
var<workgroup> scores: array<vec4f, 384>;
var<workgroup> weights: array<vec4f, 384>;
// The first is set where outputs must be scaled; four, because matrices want variables of multiples of 16 bytes.
var<workgroup> outgrown: array<atomic<u32>, 4>;

fn put(base: u32, i: u32, v: mat2x4f) {
  let at = base + (i / 16u) * 33u + 2u * (i % 16u);
  staged[at] = v[0];
  staged[at + 1u] = v[1];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32, @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_id) subgroup: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  if (workgroup >= params.count) { return; }
  let t = find_tile(workgroup);
  // The subgroup's first query, and which part of keys and channels it has.
  let own_row = subgroup / 2u * 16u;
  let own_part = subgroup % 2u;
  let own_scores = own_row * 6u + own_part * 2u;
  // Staged, because rows past the end of the tile repeat its last query.
  for (var i = thread; i < 512u; i += 256u) {
    let staged_row = i / 16u;
    let query_row = staged_row / 8u * 16u + 0u + staged_row % 8u;
    put(0u, i, query8(t, min(t.first + query_row, t.end - 1u), i % 16u));
  }
  workgroupBarrier();
  let q0_0 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 0u, 33u);
  let q0_1 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 2u, 33u);
  let q0_2 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 4u, 33u);
  let q0_3 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 6u, 33u);
  let q0_4 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 8u, 33u);
  let q0_5 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 10u, 33u);
  let q0_6 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 12u, 33u);
  let q0_7 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 14u, 33u);
  let q0_8 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 16u, 33u);
  let q0_9 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 18u, 33u);
  let q0_10 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 20u, 33u);
  let q0_11 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 22u, 33u);
  let q0_12 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 24u, 33u);
  let q0_13 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 26u, 33u);
  let q0_14 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 28u, 33u);
  let q0_15 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 30u, 33u);
  workgroupBarrier();
  // Staged, because rows past the end of the tile repeat its last query.
  for (var i = thread; i < 512u; i += 256u) {
    let staged_row = i / 16u;
    let query_row = staged_row / 8u * 16u + 8u + staged_row % 8u;
    put(0u, i, query8(t, min(t.first + query_row, t.end - 1u), i % 16u));
  }
  workgroupBarrier();
  let q1_0 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 0u, 33u);
  let q1_1 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 2u, 33u);
  let q1_2 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 4u, 33u);
  let q1_3 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 6u, 33u);
  let q1_4 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 8u, 33u);
  let q1_5 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 10u, 33u);
  let q1_6 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 12u, 33u);
  let q1_7 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 14u, 33u);
  let q1_8 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 16u, 33u);
  let q1_9 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 18u, 33u);
  let q1_10 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 20u, 33u);
  let q1_11 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 22u, 33u);
  let q1_12 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 24u, 33u);
  let q1_13 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 26u, 33u);
  let q1_14 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 28u, 33u);
  let q1_15 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&staged, own_row / 2u * 33u + 30u, 33u);
  var o0_0 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var o0_1 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var o0_2 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var o0_3 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var o0_4 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var o0_5 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var o0_6 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var o0_7 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var o1_0 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var o1_1 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var o1_2 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var o1_3 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var o1_4 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var o1_5 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var o1_6 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var o1_7 = subgroup_matrix_result<f32, 8, 8>(0.0);
  // The lanes of a row of scores take four of it in turn.
  let row = subgroup * 8u + lane / 4u;
  let side = lane % 4u;
  let scores_at = row * 6u + side;
  var m = -1e30;
  var l = 0.0;
  var key_load0 = mat2x4f();
  var value_load0 = mat2x4f();

  for (var i = 0u; i < t.segments; i++) {
    let segment = find_segment(t, i);
    // Nothing is fetched from where no key is.
    if (segment.start >= segment.end) { continue; }
    key_load0 = key8(segment.in_context, kv_at(t, segment.in_context, min(segment.start + (thread + 0u) / 16u, segment.end - 1u)) + (thread + 0u) % 16u);
    workgroupBarrier();
    put(0u, thread + 0u, key_load0);
    workgroupBarrier();
    for (var k0 = segment.start; k0 < segment.end; k0 += 16u) {
      // 1. Scores, while this step's values and the next one's keys travel.
      value_load0 = value8(segment.in_context, kv_at(t, segment.in_context, min(k0 + (thread + 0u) / 16u, segment.end - 1u)) + (thread + 0u) % 16u);
      if (k0 + 16u < segment.end) {
        key_load0 = key8(segment.in_context, kv_at(t, segment.in_context, min(k0 + 16u + (thread + 0u) / 16u, segment.end - 1u)) + (thread + 0u) % 16u);
      }
      var s0_0 = subgroup_matrix_result<f32, 8, 8>(0.0);
      var s1_0 = subgroup_matrix_result<f32, 8, 8>(0.0);
      let k0_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 0u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_0, k0_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_0, k0_0, s1_0);
      let k1_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 2u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_1, k1_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_1, k1_0, s1_0);
      let k2_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 4u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_2, k2_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_2, k2_0, s1_0);
      let k3_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 6u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_3, k3_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_3, k3_0, s1_0);
      let k4_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 8u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_4, k4_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_4, k4_0, s1_0);
      let k5_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 10u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_5, k5_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_5, k5_0, s1_0);
      let k6_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 12u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_6, k6_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_6, k6_0, s1_0);
      let k7_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 14u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_7, k7_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_7, k7_0, s1_0);
      let k8_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 16u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_8, k8_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_8, k8_0, s1_0);
      let k9_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 18u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_9, k9_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_9, k9_0, s1_0);
      let k10_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 20u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_10, k10_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_10, k10_0, s1_0);
      let k11_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 22u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_11, k11_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_11, k11_0, s1_0);
      let k12_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 24u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_12, k12_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_12, k12_0, s1_0);
      let k13_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 26u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_13, k13_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_13, k13_0, s1_0);
      let k14_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 28u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_14, k14_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_14, k14_0, s1_0);
      let k15_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&staged, own_part * 264u + 30u, 33u);
      s0_0 = subgroupMatrixMultiplyAccumulate(q0_15, k15_0, s0_0);
      s1_0 = subgroupMatrixMultiplyAccumulate(q1_15, k15_0, s1_0);
      subgroupMatrixStore<row_major>(&scores, own_scores + 0u, s0_0, 6u);
      subgroupMatrixStore<row_major>(&scores, own_scores + 48u, s1_0, 6u);
      if (thread == 0u) { atomicStore(&outgrown[0], 0u); }
      workgroupBarrier();

      // 2. This lane's part of the weights of a row, in units of log2.
      put(528u, thread + 0u, value_load0);
      if (k0 + 16u < segment.end) {
        put(0u, thread + 0u, key_load0);
      }
      var p0 = scores[scores_at + 0u] * params.scale;
      if (k0 + 16u > segment.end) {
        let left = segment.end - k0;
        p0 = select(vec4f(-3e38), p0, vec4u(0, 1, 2, 3) + 0u + 4u * side < vec4u(left));
      }
      let tops = p0;
      let side_top = max(max(tops.x, tops.y), max(tops.z, tops.w));
      let top2 = max(side_top, subgroupShuffleXor(side_top, 1u));
      let top = max(top2, subgroupShuffleXor(top2, 2u));
      let grows = top > m + 8.0;
      let shrink = select(1.0, exp2(m - top), grows);
      m = select(m, top, grows);
      if (grows) { atomicStore(&outgrown[0], 1u); }
      p0 = exp2(p0 - m);
      let sums = p0;
      l = l * shrink + ((sums.x + sums.y) + (sums.z + sums.w));
      weights[scores_at + 0u] = p0;
      // This load waits for all threads, before and after.
      if (workgroupUniformLoad(&outgrown[0]) != 0u) {
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_0, 6u);
        subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_0, 6u);
        workgroupBarrier();
        for (var k = 0u; k < 4u; k += 4u) { scores[scores_at + k] *= shrink; }
        workgroupBarrier();
        o0_0 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 0u, 6u);
        o1_0 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 48u, 6u);
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_1, 6u);
        subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_1, 6u);
        workgroupBarrier();
        for (var k = 0u; k < 4u; k += 4u) { scores[scores_at + k] *= shrink; }
        workgroupBarrier();
        o0_1 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 0u, 6u);
        o1_1 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 48u, 6u);
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_2, 6u);
        subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_2, 6u);
        workgroupBarrier();
        for (var k = 0u; k < 4u; k += 4u) { scores[scores_at + k] *= shrink; }
        workgroupBarrier();
        o0_2 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 0u, 6u);
        o1_2 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 48u, 6u);
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_3, 6u);
        subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_3, 6u);
        workgroupBarrier();
        for (var k = 0u; k < 4u; k += 4u) { scores[scores_at + k] *= shrink; }
        workgroupBarrier();
        o0_3 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 0u, 6u);
        o1_3 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 48u, 6u);
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_4, 6u);
        subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_4, 6u);
        workgroupBarrier();
        for (var k = 0u; k < 4u; k += 4u) { scores[scores_at + k] *= shrink; }
        workgroupBarrier();
        o0_4 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 0u, 6u);
        o1_4 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 48u, 6u);
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_5, 6u);
        subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_5, 6u);
        workgroupBarrier();
        for (var k = 0u; k < 4u; k += 4u) { scores[scores_at + k] *= shrink; }
        workgroupBarrier();
        o0_5 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 0u, 6u);
        o1_5 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 48u, 6u);
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_6, 6u);
        subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_6, 6u);
        workgroupBarrier();
        for (var k = 0u; k < 4u; k += 4u) { scores[scores_at + k] *= shrink; }
        workgroupBarrier();
        o0_6 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 0u, 6u);
        o1_6 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 48u, 6u);
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_7, 6u);
        subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_7, 6u);
        workgroupBarrier();
        for (var k = 0u; k < 4u; k += 4u) { scores[scores_at + k] *= shrink; }
        workgroupBarrier();
        o0_7 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 0u, 6u);
        o1_7 = subgroupMatrixLoad<subgroup_matrix_result<f32, 8, 8>, row_major>(&scores, own_scores + 48u, 6u);
      }

      // 3. Output += weights times values. Keys past the end weigh 0 and repeat the last value, which is finite.
      let w0_0 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&weights, (own_row + 0u) * 6u + 0u, 6u);
      let w1_0 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&weights, (own_row + 8u) * 6u + 0u, 6u);
      let v0_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 528u, 33u);
      o0_0 = subgroupMatrixMultiplyAccumulate(w0_0, v0_0, o0_0);
      o1_0 = subgroupMatrixMultiplyAccumulate(w1_0, v0_0, o1_0);
      let v0_1 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 530u, 33u);
      o0_1 = subgroupMatrixMultiplyAccumulate(w0_0, v0_1, o0_1);
      o1_1 = subgroupMatrixMultiplyAccumulate(w1_0, v0_1, o1_1);
      let v0_2 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 532u, 33u);
      o0_2 = subgroupMatrixMultiplyAccumulate(w0_0, v0_2, o0_2);
      o1_2 = subgroupMatrixMultiplyAccumulate(w1_0, v0_2, o1_2);
      let v0_3 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 534u, 33u);
      o0_3 = subgroupMatrixMultiplyAccumulate(w0_0, v0_3, o0_3);
      o1_3 = subgroupMatrixMultiplyAccumulate(w1_0, v0_3, o1_3);
      let v0_4 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 536u, 33u);
      o0_4 = subgroupMatrixMultiplyAccumulate(w0_0, v0_4, o0_4);
      o1_4 = subgroupMatrixMultiplyAccumulate(w1_0, v0_4, o1_4);
      let v0_5 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 538u, 33u);
      o0_5 = subgroupMatrixMultiplyAccumulate(w0_0, v0_5, o0_5);
      o1_5 = subgroupMatrixMultiplyAccumulate(w1_0, v0_5, o1_5);
      let v0_6 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 540u, 33u);
      o0_6 = subgroupMatrixMultiplyAccumulate(w0_0, v0_6, o0_6);
      o1_6 = subgroupMatrixMultiplyAccumulate(w1_0, v0_6, o1_6);
      let v0_7 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 542u, 33u);
      o0_7 = subgroupMatrixMultiplyAccumulate(w0_0, v0_7, o0_7);
      o1_7 = subgroupMatrixMultiplyAccumulate(w1_0, v0_7, o1_7);
      let w0_1 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&weights, (own_row + 0u) * 6u + 2u, 6u);
      let w1_1 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&weights, (own_row + 8u) * 6u + 2u, 6u);
      let v1_0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 792u, 33u);
      o0_0 = subgroupMatrixMultiplyAccumulate(w0_1, v1_0, o0_0);
      o1_0 = subgroupMatrixMultiplyAccumulate(w1_1, v1_0, o1_0);
      let v1_1 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 794u, 33u);
      o0_1 = subgroupMatrixMultiplyAccumulate(w0_1, v1_1, o0_1);
      o1_1 = subgroupMatrixMultiplyAccumulate(w1_1, v1_1, o1_1);
      let v1_2 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 796u, 33u);
      o0_2 = subgroupMatrixMultiplyAccumulate(w0_1, v1_2, o0_2);
      o1_2 = subgroupMatrixMultiplyAccumulate(w1_1, v1_2, o1_2);
      let v1_3 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 798u, 33u);
      o0_3 = subgroupMatrixMultiplyAccumulate(w0_1, v1_3, o0_3);
      o1_3 = subgroupMatrixMultiplyAccumulate(w1_1, v1_3, o1_3);
      let v1_4 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 800u, 33u);
      o0_4 = subgroupMatrixMultiplyAccumulate(w0_1, v1_4, o0_4);
      o1_4 = subgroupMatrixMultiplyAccumulate(w1_1, v1_4, o1_4);
      let v1_5 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 802u, 33u);
      o0_5 = subgroupMatrixMultiplyAccumulate(w0_1, v1_5, o0_5);
      o1_5 = subgroupMatrixMultiplyAccumulate(w1_1, v1_5, o1_5);
      let v1_6 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 804u, 33u);
      o0_6 = subgroupMatrixMultiplyAccumulate(w0_1, v1_6, o0_6);
      o1_6 = subgroupMatrixMultiplyAccumulate(w1_1, v1_6, o1_6);
      let v1_7 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, row_major>(&staged, own_part * 16u + 806u, 33u);
      o0_7 = subgroupMatrixMultiplyAccumulate(w0_1, v1_7, o0_7);
      o1_7 = subgroupMatrixMultiplyAccumulate(w1_1, v1_7, o1_7);
    }
  }

  // 4. Divide once, store.
  l += subgroupShuffleXor(l, 1u);
  l += subgroupShuffleXor(l, 2u);
  let inverse = select(1.0 / l, 0.0, l == 0.0);
  let token = t.first + row;
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_0, 6u);
  subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_0, 6u);
  workgroupBarrier();
  if (token < t.end) {
    for (var part = 0u; part < 2u; part++) {
      for (var k = side; k < 2u; k += 4u) {
        result4(t, token, part * 16u + 0u + k, inverse * scores[row * 6u + part * 2u + k]);
      }
    }
  }
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_1, 6u);
  subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_1, 6u);
  workgroupBarrier();
  if (token < t.end) {
    for (var part = 0u; part < 2u; part++) {
      for (var k = side; k < 2u; k += 4u) {
        result4(t, token, part * 16u + 2u + k, inverse * scores[row * 6u + part * 2u + k]);
      }
    }
  }
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_2, 6u);
  subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_2, 6u);
  workgroupBarrier();
  if (token < t.end) {
    for (var part = 0u; part < 2u; part++) {
      for (var k = side; k < 2u; k += 4u) {
        result4(t, token, part * 16u + 4u + k, inverse * scores[row * 6u + part * 2u + k]);
      }
    }
  }
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_3, 6u);
  subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_3, 6u);
  workgroupBarrier();
  if (token < t.end) {
    for (var part = 0u; part < 2u; part++) {
      for (var k = side; k < 2u; k += 4u) {
        result4(t, token, part * 16u + 6u + k, inverse * scores[row * 6u + part * 2u + k]);
      }
    }
  }
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_4, 6u);
  subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_4, 6u);
  workgroupBarrier();
  if (token < t.end) {
    for (var part = 0u; part < 2u; part++) {
      for (var k = side; k < 2u; k += 4u) {
        result4(t, token, part * 16u + 8u + k, inverse * scores[row * 6u + part * 2u + k]);
      }
    }
  }
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_5, 6u);
  subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_5, 6u);
  workgroupBarrier();
  if (token < t.end) {
    for (var part = 0u; part < 2u; part++) {
      for (var k = side; k < 2u; k += 4u) {
        result4(t, token, part * 16u + 10u + k, inverse * scores[row * 6u + part * 2u + k]);
      }
    }
  }
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_6, 6u);
  subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_6, 6u);
  workgroupBarrier();
  if (token < t.end) {
    for (var part = 0u; part < 2u; part++) {
      for (var k = side; k < 2u; k += 4u) {
        result4(t, token, part * 16u + 12u + k, inverse * scores[row * 6u + part * 2u + k]);
      }
    }
  }
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, own_scores + 0u, o0_7, 6u);
  subgroupMatrixStore<row_major>(&scores, own_scores + 48u, o1_7, 6u);
  workgroupBarrier();
  if (token < t.end) {
    for (var part = 0u; part < 2u; part++) {
      for (var k = side; k < 2u; k += 4u) {
        result4(t, token, part * 16u + 14u + k, inverse * scores[row * 6u + part * 2u + k]);
      }
    }
  }
}
