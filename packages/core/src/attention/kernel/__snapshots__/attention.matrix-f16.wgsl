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
var<workgroup> scores: array<f32, 4352>;
var<workgroup> weights: array<vec4<f16>, 1152>;
// The first is set where outputs must be scaled; four, because matrices want variables of multiples of 16 bytes.
var<workgroup> outgrown: array<atomic<u32>, 4>;

fn put(i: u32, v: vec4u) {
  let at = (i / 16u) * 34u + 2u * (i % 16u);
  staged[at] = bitcast<vec4<f16>>(v.xy);
  staged[at + 1u] = bitcast<vec4<f16>>(v.zw);
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32, @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_id) subgroup: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  if (workgroup >= params.count) { return; }
  let t = find_tile(workgroup);
  // Staged, because rows past the end of the tile repeat its last query.
  for (var i = thread; i < 1024u; i += 128u) {
    put(i, query8(t, min(t.first + i / 16u, t.end - 1u), i % 16u));
  }
  workgroupBarrier();
  let q0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, subgroup * 16u * 34u + 0u, 34u);
  let q1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, subgroup * 16u * 34u + 4u, 34u);
  let q2 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, subgroup * 16u * 34u + 8u, 34u);
  let q3 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, subgroup * 16u * 34u + 12u, 34u);
  let q4 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, subgroup * 16u * 34u + 16u, 34u);
  let q5 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, subgroup * 16u * 34u + 20u, 34u);
  let q6 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, subgroup * 16u * 34u + 24u, 34u);
  let q7 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&staged, subgroup * 16u * 34u + 28u, 34u);
  var o0 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var o1 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var o2 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var o3 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var o4 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var o5 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var o6 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var o7 = subgroup_matrix_result<f32, 16, 16>(0.0);
  // Two lanes share a row of scores.
  let row = subgroup * 16u + lane / 2u;
  let side = lane % 2u;
  let scores_at = row * 68u + side * 32u;
  let weights_at = row * 18u + side * 8u;
  var m = -1e30;
  var l = 0.0;
  var key_load0 = vec4u();
  var value_load0 = vec4u();
  var key_load1 = vec4u();
  var value_load1 = vec4u();
  var key_load2 = vec4u();
  var value_load2 = vec4u();
  var key_load3 = vec4u();
  var value_load3 = vec4u();
  var key_load4 = vec4u();
  var value_load4 = vec4u();
  var key_load5 = vec4u();
  var value_load5 = vec4u();
  var key_load6 = vec4u();
  var value_load6 = vec4u();
  var key_load7 = vec4u();
  var value_load7 = vec4u();

  for (var i = 0u; i < t.segments; i++) {
    let segment = find_segment(t, i);
    key_load0 = key8(segment.in_context, kv_at(t, segment.in_context, min(segment.start + (thread + 0u) / 16u, segment.end - 1u)) + (thread + 0u) % 16u);
    key_load1 = key8(segment.in_context, kv_at(t, segment.in_context, min(segment.start + (thread + 128u) / 16u, segment.end - 1u)) + (thread + 128u) % 16u);
    key_load2 = key8(segment.in_context, kv_at(t, segment.in_context, min(segment.start + (thread + 256u) / 16u, segment.end - 1u)) + (thread + 256u) % 16u);
    key_load3 = key8(segment.in_context, kv_at(t, segment.in_context, min(segment.start + (thread + 384u) / 16u, segment.end - 1u)) + (thread + 384u) % 16u);
    key_load4 = key8(segment.in_context, kv_at(t, segment.in_context, min(segment.start + (thread + 512u) / 16u, segment.end - 1u)) + (thread + 512u) % 16u);
    key_load5 = key8(segment.in_context, kv_at(t, segment.in_context, min(segment.start + (thread + 640u) / 16u, segment.end - 1u)) + (thread + 640u) % 16u);
    key_load6 = key8(segment.in_context, kv_at(t, segment.in_context, min(segment.start + (thread + 768u) / 16u, segment.end - 1u)) + (thread + 768u) % 16u);
    key_load7 = key8(segment.in_context, kv_at(t, segment.in_context, min(segment.start + (thread + 896u) / 16u, segment.end - 1u)) + (thread + 896u) % 16u);
    for (var k0 = segment.start; k0 < segment.end; k0 += 64u) {
      // 1. Scores.

      workgroupBarrier();
      put(thread + 0u, key_load0);
      put(thread + 128u, key_load1);
      put(thread + 256u, key_load2);
      put(thread + 384u, key_load3);
      put(thread + 512u, key_load4);
      put(thread + 640u, key_load5);
      put(thread + 768u, key_load6);
      put(thread + 896u, key_load7);
      workgroupBarrier();
      value_load0 = value8(segment.in_context, kv_at(t, segment.in_context, min(k0 + (thread + 0u) / 16u, segment.end - 1u)) + (thread + 0u) % 16u);
      value_load1 = value8(segment.in_context, kv_at(t, segment.in_context, min(k0 + (thread + 128u) / 16u, segment.end - 1u)) + (thread + 128u) % 16u);
      value_load2 = value8(segment.in_context, kv_at(t, segment.in_context, min(k0 + (thread + 256u) / 16u, segment.end - 1u)) + (thread + 256u) % 16u);
      value_load3 = value8(segment.in_context, kv_at(t, segment.in_context, min(k0 + (thread + 384u) / 16u, segment.end - 1u)) + (thread + 384u) % 16u);
      value_load4 = value8(segment.in_context, kv_at(t, segment.in_context, min(k0 + (thread + 512u) / 16u, segment.end - 1u)) + (thread + 512u) % 16u);
      value_load5 = value8(segment.in_context, kv_at(t, segment.in_context, min(k0 + (thread + 640u) / 16u, segment.end - 1u)) + (thread + 640u) % 16u);
      value_load6 = value8(segment.in_context, kv_at(t, segment.in_context, min(k0 + (thread + 768u) / 16u, segment.end - 1u)) + (thread + 768u) % 16u);
      value_load7 = value8(segment.in_context, kv_at(t, segment.in_context, min(k0 + (thread + 896u) / 16u, segment.end - 1u)) + (thread + 896u) % 16u);
      var s0 = subgroup_matrix_result<f32, 16, 16>(0.0);
      var s1 = subgroup_matrix_result<f32, 16, 16>(0.0);
      var s2 = subgroup_matrix_result<f32, 16, 16>(0.0);
      var s3 = subgroup_matrix_result<f32, 16, 16>(0.0);
      s0 = subgroupMatrixMultiplyAccumulate(q0, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 0u, 34u), s0);
      s0 = subgroupMatrixMultiplyAccumulate(q1, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 4u, 34u), s0);
      s0 = subgroupMatrixMultiplyAccumulate(q2, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 8u, 34u), s0);
      s0 = subgroupMatrixMultiplyAccumulate(q3, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 12u, 34u), s0);
      s0 = subgroupMatrixMultiplyAccumulate(q4, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 16u, 34u), s0);
      s0 = subgroupMatrixMultiplyAccumulate(q5, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 20u, 34u), s0);
      s0 = subgroupMatrixMultiplyAccumulate(q6, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 24u, 34u), s0);
      s0 = subgroupMatrixMultiplyAccumulate(q7, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 28u, 34u), s0);
      s1 = subgroupMatrixMultiplyAccumulate(q0, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 544u, 34u), s1);
      s1 = subgroupMatrixMultiplyAccumulate(q1, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 548u, 34u), s1);
      s1 = subgroupMatrixMultiplyAccumulate(q2, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 552u, 34u), s1);
      s1 = subgroupMatrixMultiplyAccumulate(q3, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 556u, 34u), s1);
      s1 = subgroupMatrixMultiplyAccumulate(q4, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 560u, 34u), s1);
      s1 = subgroupMatrixMultiplyAccumulate(q5, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 564u, 34u), s1);
      s1 = subgroupMatrixMultiplyAccumulate(q6, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 568u, 34u), s1);
      s1 = subgroupMatrixMultiplyAccumulate(q7, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 572u, 34u), s1);
      s2 = subgroupMatrixMultiplyAccumulate(q0, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1088u, 34u), s2);
      s2 = subgroupMatrixMultiplyAccumulate(q1, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1092u, 34u), s2);
      s2 = subgroupMatrixMultiplyAccumulate(q2, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1096u, 34u), s2);
      s2 = subgroupMatrixMultiplyAccumulate(q3, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1100u, 34u), s2);
      s2 = subgroupMatrixMultiplyAccumulate(q4, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1104u, 34u), s2);
      s2 = subgroupMatrixMultiplyAccumulate(q5, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1108u, 34u), s2);
      s2 = subgroupMatrixMultiplyAccumulate(q6, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1112u, 34u), s2);
      s2 = subgroupMatrixMultiplyAccumulate(q7, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1116u, 34u), s2);
      s3 = subgroupMatrixMultiplyAccumulate(q0, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1632u, 34u), s3);
      s3 = subgroupMatrixMultiplyAccumulate(q1, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1636u, 34u), s3);
      s3 = subgroupMatrixMultiplyAccumulate(q2, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1640u, 34u), s3);
      s3 = subgroupMatrixMultiplyAccumulate(q3, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1644u, 34u), s3);
      s3 = subgroupMatrixMultiplyAccumulate(q4, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1648u, 34u), s3);
      s3 = subgroupMatrixMultiplyAccumulate(q5, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1652u, 34u), s3);
      s3 = subgroupMatrixMultiplyAccumulate(q6, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1656u, 34u), s3);
      s3 = subgroupMatrixMultiplyAccumulate(q7, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&staged, 1660u, 34u), s3);
      subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 0u, s0, 68u);
      subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 16u, s1, 68u);
      subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 32u, s2, 68u);
      subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 48u, s3, 68u);
      if (thread == 0u) { atomicStore(&outgrown[0], 0u); }
      workgroupBarrier();

      // 2. Weights of this lane's half of a row, in units of log2; values take the place of keys.
      put(thread + 0u, value_load0);
      put(thread + 128u, value_load1);
      put(thread + 256u, value_load2);
      put(thread + 384u, value_load3);
      put(thread + 512u, value_load4);
      put(thread + 640u, value_load5);
      put(thread + 768u, value_load6);
      put(thread + 896u, value_load7);
      var p0 = scores[scores_at + 0u] * params.scale;
      if (k0 + side * 32u + 0u >= segment.end) { p0 = -3e38; }
      var p1 = scores[scores_at + 1u] * params.scale;
      if (k0 + side * 32u + 1u >= segment.end) { p1 = -3e38; }
      var p2 = scores[scores_at + 2u] * params.scale;
      if (k0 + side * 32u + 2u >= segment.end) { p2 = -3e38; }
      var p3 = scores[scores_at + 3u] * params.scale;
      if (k0 + side * 32u + 3u >= segment.end) { p3 = -3e38; }
      var p4 = scores[scores_at + 4u] * params.scale;
      if (k0 + side * 32u + 4u >= segment.end) { p4 = -3e38; }
      var p5 = scores[scores_at + 5u] * params.scale;
      if (k0 + side * 32u + 5u >= segment.end) { p5 = -3e38; }
      var p6 = scores[scores_at + 6u] * params.scale;
      if (k0 + side * 32u + 6u >= segment.end) { p6 = -3e38; }
      var p7 = scores[scores_at + 7u] * params.scale;
      if (k0 + side * 32u + 7u >= segment.end) { p7 = -3e38; }
      var p8 = scores[scores_at + 8u] * params.scale;
      if (k0 + side * 32u + 8u >= segment.end) { p8 = -3e38; }
      var p9 = scores[scores_at + 9u] * params.scale;
      if (k0 + side * 32u + 9u >= segment.end) { p9 = -3e38; }
      var p10 = scores[scores_at + 10u] * params.scale;
      if (k0 + side * 32u + 10u >= segment.end) { p10 = -3e38; }
      var p11 = scores[scores_at + 11u] * params.scale;
      if (k0 + side * 32u + 11u >= segment.end) { p11 = -3e38; }
      var p12 = scores[scores_at + 12u] * params.scale;
      if (k0 + side * 32u + 12u >= segment.end) { p12 = -3e38; }
      var p13 = scores[scores_at + 13u] * params.scale;
      if (k0 + side * 32u + 13u >= segment.end) { p13 = -3e38; }
      var p14 = scores[scores_at + 14u] * params.scale;
      if (k0 + side * 32u + 14u >= segment.end) { p14 = -3e38; }
      var p15 = scores[scores_at + 15u] * params.scale;
      if (k0 + side * 32u + 15u >= segment.end) { p15 = -3e38; }
      var p16 = scores[scores_at + 16u] * params.scale;
      if (k0 + side * 32u + 16u >= segment.end) { p16 = -3e38; }
      var p17 = scores[scores_at + 17u] * params.scale;
      if (k0 + side * 32u + 17u >= segment.end) { p17 = -3e38; }
      var p18 = scores[scores_at + 18u] * params.scale;
      if (k0 + side * 32u + 18u >= segment.end) { p18 = -3e38; }
      var p19 = scores[scores_at + 19u] * params.scale;
      if (k0 + side * 32u + 19u >= segment.end) { p19 = -3e38; }
      var p20 = scores[scores_at + 20u] * params.scale;
      if (k0 + side * 32u + 20u >= segment.end) { p20 = -3e38; }
      var p21 = scores[scores_at + 21u] * params.scale;
      if (k0 + side * 32u + 21u >= segment.end) { p21 = -3e38; }
      var p22 = scores[scores_at + 22u] * params.scale;
      if (k0 + side * 32u + 22u >= segment.end) { p22 = -3e38; }
      var p23 = scores[scores_at + 23u] * params.scale;
      if (k0 + side * 32u + 23u >= segment.end) { p23 = -3e38; }
      var p24 = scores[scores_at + 24u] * params.scale;
      if (k0 + side * 32u + 24u >= segment.end) { p24 = -3e38; }
      var p25 = scores[scores_at + 25u] * params.scale;
      if (k0 + side * 32u + 25u >= segment.end) { p25 = -3e38; }
      var p26 = scores[scores_at + 26u] * params.scale;
      if (k0 + side * 32u + 26u >= segment.end) { p26 = -3e38; }
      var p27 = scores[scores_at + 27u] * params.scale;
      if (k0 + side * 32u + 27u >= segment.end) { p27 = -3e38; }
      var p28 = scores[scores_at + 28u] * params.scale;
      if (k0 + side * 32u + 28u >= segment.end) { p28 = -3e38; }
      var p29 = scores[scores_at + 29u] * params.scale;
      if (k0 + side * 32u + 29u >= segment.end) { p29 = -3e38; }
      var p30 = scores[scores_at + 30u] * params.scale;
      if (k0 + side * 32u + 30u >= segment.end) { p30 = -3e38; }
      var p31 = scores[scores_at + 31u] * params.scale;
      if (k0 + side * 32u + 31u >= segment.end) { p31 = -3e38; }
      let side_top = max(max(max(max(max(p0, p1), max(p2, p3)), max(max(p4, p5), max(p6, p7))), max(max(max(p8, p9), max(p10, p11)), max(max(p12, p13), max(p14, p15)))), max(max(max(max(p16, p17), max(p18, p19)), max(max(p20, p21), max(p22, p23))), max(max(max(p24, p25), max(p26, p27)), max(max(p28, p29), max(p30, p31)))));
      let top = max(side_top, subgroupShuffleXor(side_top, 1u));
      let grows = top > m + 8.0;
      let shrink = select(1.0, exp2(m - top), grows);
      m = select(m, top, grows);
      if (grows) { atomicStore(&outgrown[0], 1u); }
      p0 = exp2(p0 - m);
      p1 = exp2(p1 - m);
      p2 = exp2(p2 - m);
      p3 = exp2(p3 - m);
      p4 = exp2(p4 - m);
      p5 = exp2(p5 - m);
      p6 = exp2(p6 - m);
      p7 = exp2(p7 - m);
      p8 = exp2(p8 - m);
      p9 = exp2(p9 - m);
      p10 = exp2(p10 - m);
      p11 = exp2(p11 - m);
      p12 = exp2(p12 - m);
      p13 = exp2(p13 - m);
      p14 = exp2(p14 - m);
      p15 = exp2(p15 - m);
      p16 = exp2(p16 - m);
      p17 = exp2(p17 - m);
      p18 = exp2(p18 - m);
      p19 = exp2(p19 - m);
      p20 = exp2(p20 - m);
      p21 = exp2(p21 - m);
      p22 = exp2(p22 - m);
      p23 = exp2(p23 - m);
      p24 = exp2(p24 - m);
      p25 = exp2(p25 - m);
      p26 = exp2(p26 - m);
      p27 = exp2(p27 - m);
      p28 = exp2(p28 - m);
      p29 = exp2(p29 - m);
      p30 = exp2(p30 - m);
      p31 = exp2(p31 - m);
      l = l * shrink + (((((p0 + p1) + (p2 + p3)) + ((p4 + p5) + (p6 + p7))) + (((p8 + p9) + (p10 + p11)) + ((p12 + p13) + (p14 + p15)))) + ((((p16 + p17) + (p18 + p19)) + ((p20 + p21) + (p22 + p23))) + (((p24 + p25) + (p26 + p27)) + ((p28 + p29) + (p30 + p31)))));
      weights[weights_at + 0u] = vec4<f16>(vec4f(p0, p1, p2, p3));
      weights[weights_at + 1u] = vec4<f16>(vec4f(p4, p5, p6, p7));
      weights[weights_at + 2u] = vec4<f16>(vec4f(p8, p9, p10, p11));
      weights[weights_at + 3u] = vec4<f16>(vec4f(p12, p13, p14, p15));
      weights[weights_at + 4u] = vec4<f16>(vec4f(p16, p17, p18, p19));
      weights[weights_at + 5u] = vec4<f16>(vec4f(p20, p21, p22, p23));
      weights[weights_at + 6u] = vec4<f16>(vec4f(p24, p25, p26, p27));
      weights[weights_at + 7u] = vec4<f16>(vec4f(p28, p29, p30, p31));
      // This load waits for all threads, before and after.
      if (workgroupUniformLoad(&outgrown[0]) != 0u) {
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 0u, o0, 68u);
        subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 16u, o1, 68u);
        subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 32u, o2, 68u);
        subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 48u, o3, 68u);
        workgroupBarrier();
        for (var k = 0u; k < 32u; k++) { scores[scores_at + k] *= shrink; }
        workgroupBarrier();
        o0 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, subgroup * 16u * 68u + 0u, 68u);
        o1 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, subgroup * 16u * 68u + 16u, 68u);
        o2 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, subgroup * 16u * 68u + 32u, 68u);
        o3 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, subgroup * 16u * 68u + 48u, 68u);
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 0u, o4, 68u);
        subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 16u, o5, 68u);
        subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 32u, o6, 68u);
        subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 48u, o7, 68u);
        workgroupBarrier();
        for (var k = 0u; k < 32u; k++) { scores[scores_at + k] *= shrink; }
        workgroupBarrier();
        o4 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, subgroup * 16u * 68u + 0u, 68u);
        o5 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, subgroup * 16u * 68u + 16u, 68u);
        o6 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, subgroup * 16u * 68u + 32u, 68u);
        o7 = subgroupMatrixLoad<subgroup_matrix_result<f32, 16, 16>, row_major>(&scores, subgroup * 16u * 68u + 48u, 68u);
      }

      if (k0 + 64u < segment.end) {
        key_load0 = key8(segment.in_context, kv_at(t, segment.in_context, min(k0 + 64u + (thread + 0u) / 16u, segment.end - 1u)) + (thread + 0u) % 16u);
        key_load1 = key8(segment.in_context, kv_at(t, segment.in_context, min(k0 + 64u + (thread + 128u) / 16u, segment.end - 1u)) + (thread + 128u) % 16u);
        key_load2 = key8(segment.in_context, kv_at(t, segment.in_context, min(k0 + 64u + (thread + 256u) / 16u, segment.end - 1u)) + (thread + 256u) % 16u);
        key_load3 = key8(segment.in_context, kv_at(t, segment.in_context, min(k0 + 64u + (thread + 384u) / 16u, segment.end - 1u)) + (thread + 384u) % 16u);
        key_load4 = key8(segment.in_context, kv_at(t, segment.in_context, min(k0 + 64u + (thread + 512u) / 16u, segment.end - 1u)) + (thread + 512u) % 16u);
        key_load5 = key8(segment.in_context, kv_at(t, segment.in_context, min(k0 + 64u + (thread + 640u) / 16u, segment.end - 1u)) + (thread + 640u) % 16u);
        key_load6 = key8(segment.in_context, kv_at(t, segment.in_context, min(k0 + 64u + (thread + 768u) / 16u, segment.end - 1u)) + (thread + 768u) % 16u);
        key_load7 = key8(segment.in_context, kv_at(t, segment.in_context, min(k0 + 64u + (thread + 896u) / 16u, segment.end - 1u)) + (thread + 896u) % 16u);
      }
      // 3. Output += weights times values. Keys past the end weigh 0 and repeat the last value, which is finite.
      let weights0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&weights, subgroup * 16u * 18u + 0u, 18u);
      o0 = subgroupMatrixMultiplyAccumulate(weights0, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 0u, 34u), o0);
      o1 = subgroupMatrixMultiplyAccumulate(weights0, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 4u, 34u), o1);
      o2 = subgroupMatrixMultiplyAccumulate(weights0, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 8u, 34u), o2);
      o3 = subgroupMatrixMultiplyAccumulate(weights0, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 12u, 34u), o3);
      o4 = subgroupMatrixMultiplyAccumulate(weights0, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 16u, 34u), o4);
      o5 = subgroupMatrixMultiplyAccumulate(weights0, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 20u, 34u), o5);
      o6 = subgroupMatrixMultiplyAccumulate(weights0, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 24u, 34u), o6);
      o7 = subgroupMatrixMultiplyAccumulate(weights0, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 28u, 34u), o7);
      let weights1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&weights, subgroup * 16u * 18u + 4u, 18u);
      o0 = subgroupMatrixMultiplyAccumulate(weights1, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 544u, 34u), o0);
      o1 = subgroupMatrixMultiplyAccumulate(weights1, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 548u, 34u), o1);
      o2 = subgroupMatrixMultiplyAccumulate(weights1, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 552u, 34u), o2);
      o3 = subgroupMatrixMultiplyAccumulate(weights1, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 556u, 34u), o3);
      o4 = subgroupMatrixMultiplyAccumulate(weights1, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 560u, 34u), o4);
      o5 = subgroupMatrixMultiplyAccumulate(weights1, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 564u, 34u), o5);
      o6 = subgroupMatrixMultiplyAccumulate(weights1, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 568u, 34u), o6);
      o7 = subgroupMatrixMultiplyAccumulate(weights1, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 572u, 34u), o7);
      let weights2 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&weights, subgroup * 16u * 18u + 8u, 18u);
      o0 = subgroupMatrixMultiplyAccumulate(weights2, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1088u, 34u), o0);
      o1 = subgroupMatrixMultiplyAccumulate(weights2, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1092u, 34u), o1);
      o2 = subgroupMatrixMultiplyAccumulate(weights2, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1096u, 34u), o2);
      o3 = subgroupMatrixMultiplyAccumulate(weights2, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1100u, 34u), o3);
      o4 = subgroupMatrixMultiplyAccumulate(weights2, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1104u, 34u), o4);
      o5 = subgroupMatrixMultiplyAccumulate(weights2, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1108u, 34u), o5);
      o6 = subgroupMatrixMultiplyAccumulate(weights2, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1112u, 34u), o6);
      o7 = subgroupMatrixMultiplyAccumulate(weights2, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1116u, 34u), o7);
      let weights3 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&weights, subgroup * 16u * 18u + 12u, 18u);
      o0 = subgroupMatrixMultiplyAccumulate(weights3, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1632u, 34u), o0);
      o1 = subgroupMatrixMultiplyAccumulate(weights3, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1636u, 34u), o1);
      o2 = subgroupMatrixMultiplyAccumulate(weights3, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1640u, 34u), o2);
      o3 = subgroupMatrixMultiplyAccumulate(weights3, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1644u, 34u), o3);
      o4 = subgroupMatrixMultiplyAccumulate(weights3, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1648u, 34u), o4);
      o5 = subgroupMatrixMultiplyAccumulate(weights3, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1652u, 34u), o5);
      o6 = subgroupMatrixMultiplyAccumulate(weights3, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1656u, 34u), o6);
      o7 = subgroupMatrixMultiplyAccumulate(weights3, subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&staged, 1660u, 34u), o7);
    }
  }

  // 4. Divide once, store.
  l += subgroupShuffleXor(l, 1u);
  let inverse = select(1.0 / l, 0.0, l == 0.0);
  let token = t.first + row;
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 0u, o0, 68u);
  subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 16u, o1, 68u);
  subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 32u, o2, 68u);
  subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 48u, o3, 68u);
  workgroupBarrier();
  if (token < t.end) {
    for (var k = 4u * side; k < 64u; k += 8u) {
      let at = row * 68u + k;
      result4(t, token, (0u + k) / 4u, inverse * vec4f(scores[at], scores[at + 1u], scores[at + 2u], scores[at + 3u]));
    }
  }
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 0u, o4, 68u);
  subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 16u, o5, 68u);
  subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 32u, o6, 68u);
  subgroupMatrixStore<row_major>(&scores, subgroup * 16u * 68u + 48u, o7, 68u);
  workgroupBarrier();
  if (token < t.end) {
    for (var k = 4u * side; k < 64u; k += 8u) {
      let at = row * 68u + k;
      result4(t, token, (64u + k) / 4u, inverse * vec4f(scores[at], scores[at + 1u], scores[at + 2u], scores[at + 3u]));
    }
  }
}
