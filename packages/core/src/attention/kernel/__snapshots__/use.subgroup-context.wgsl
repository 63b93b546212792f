enable subgroups;
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
@group(0) @binding(0) var<storage, read> query: array<vec4f>;
@group(0) @binding(1) var<storage, read> key: array<vec4f>;
@group(0) @binding(2) var<storage, read> value: array<vec4f>;
@group(0) @binding(3) var<storage, read> context_key: array<vec4f>;
@group(0) @binding(4) var<storage, read> context_value: array<vec4f>;
@group(0) @binding(5) var<storage, read> index: array<u32>;
@group(0) @binding(6) var<storage, read_write> result: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> log_sum_exp: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;
const DV = 6u;
const TILE = 16u;
const UNITS = 6u;
fn load4_query(i: u32) -> vec4f { return query[i]; }
fn load4_key(i: u32) -> vec4f { return key[i]; }
fn load4_value(i: u32) -> vec4f { return value[i]; }
fn load4_context_key(i: u32) -> vec4f { return context_key[i]; }
fn load4_context_value(i: u32) -> vec4f { return context_value[i]; }
fn store4_result(i: u32, v: vec4f) { result[i] = v; }

struct Tile { head: u32, kv_head: u32, batch: u32, row: u32, first: u32, end: u32, range: u32, segments: u32, context_end: u32 }
struct Segment { in_context: bool, start: u32, end: u32 }

fn find_tile(linear: u32) -> Tile {
  let job = params.first + linear;
  let tile = job % params.tiles;
  var t: Tile;
  t.head = (job / params.tiles) % params.heads;
  t.kv_head = t.head / (params.heads / params.kvHeads);
  t.batch = params.batch + job / (params.tiles * params.heads);
  t.row = index[params.tilesAt + 2u * tile];
  t.first = index[params.tilesAt + 2u * tile + 1u];
  t.end = index[4u * t.row];
  t.range = index[4u * t.row + 1u];
  t.segments = index[4u * t.row + 2u] - t.range;
  t.context_end = min(index[4u * t.row + 3u], params.contextKeys);
  t.segments += select(0u, 1u, t.context_end > 0u);
  return t;
}

fn find_segment(t: Tile, i: u32) -> Segment {
  var s: Segment;
  if (t.context_end > 0u && i + 1u == t.segments) { return Segment(true, 0u, t.context_end); }
  s.start = index[params.rangesAt + 2u * (t.range + i)];
  s.end = index[params.rangesAt + 2u * (t.range + i) + 1u];

  return s;
}

fn query4(t: Tile, token: u32, d: u32) -> vec4f {
  return load4_query(((t.batch * params.queries + token) * params.heads + t.head) * UNITS + d);
}
fn kv_at(t: Tile, in_context: bool, token: u32) -> u32 {
  return ((t.batch * select(params.keys, params.contextKeys, in_context) + token) * params.kvHeads + t.kv_head) * UNITS;
}
fn key4(in_context: bool, i: u32) -> vec4f {
  if (in_context) { return load4_context_key(i); }
  return load4_key(i);
}
fn value4(in_context: bool, i: u32) -> vec4f {
  if (in_context) { return load4_context_value(i); }
  return load4_value(i);
}
fn result4(t: Tile, token: u32, d: u32, v: vec4f) {
  store4_result(((t.batch * params.queries + token) * params.heads + t.head) * DV + d, v);
}
fn store_log_sum_exp(t: Tile, token: u32, m: f32, l: f32) {
  log_sum_exp[(t.batch * params.queries + token) * params.heads + t.head] = select(-1e30, (m + log2(l)) * 0.6931471805599453, l > 0.0);
}


@compute @workgroup_size(8)
@diagnostic(off, subgroup_uniformity)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  if (workgroup >= params.count) { return; }
  let t = find_tile(workgroup);
  var q0: array<vec4f, 6>;
  var m0 = -1e30;
  var l0 = 0.0;
  var q1: array<vec4f, 6>;
  var m1 = -1e30;
  var l1 = 0.0;
  for (var d = 0u; d < 6u * params.one; d++) {
    q0[d] = query4(t, min(t.first + 0u + lane, t.end - 1u), d) * params.scale;
    q1[d] = query4(t, min(t.first + 8u + lane, t.end - 1u), d) * params.scale;
  }
  var o: array<vec4f, 16>; // [query][column]

  for (var i = 0u; i < t.segments; i++) {
    let segment = find_segment(t, i);
    for (var k0 = segment.start; k0 < segment.end; k0 += 16u) {
      // 1. Scores: this lane's queries against all keys of the step, in units of log2.
      var s0_0 = 0.0;
      var s1_0 = 0.0;
      var s0_1 = 0.0;
      var s1_1 = 0.0;
      var s0_2 = 0.0;
      var s1_2 = 0.0;
      var s0_3 = 0.0;
      var s1_3 = 0.0;
      var s0_4 = 0.0;
      var s1_4 = 0.0;
      var s0_5 = 0.0;
      var s1_5 = 0.0;
      var s0_6 = 0.0;
      var s1_6 = 0.0;
      var s0_7 = 0.0;
      var s1_7 = 0.0;
      var s0_8 = 0.0;
      var s1_8 = 0.0;
      var s0_9 = 0.0;
      var s1_9 = 0.0;
      var s0_10 = 0.0;
      var s1_10 = 0.0;
      var s0_11 = 0.0;
      var s1_11 = 0.0;
      var s0_12 = 0.0;
      var s1_12 = 0.0;
      var s0_13 = 0.0;
      var s1_13 = 0.0;
      var s0_14 = 0.0;
      var s1_14 = 0.0;
      var s0_15 = 0.0;
      var s1_15 = 0.0;
      let at0 = kv_at(t, segment.in_context, min(k0 + 0u + lane, segment.end - 1u));
      let at1 = kv_at(t, segment.in_context, min(k0 + 8u + lane, segment.end - 1u));
      for (var d = 0u; d < 6u * params.one; d++) {
        let query0 = q0[d];
        let query1 = q1[d];
        let key0 = key4(segment.in_context, at0 + d);
        let key1 = key4(segment.in_context, at1 + d);
        { let k = subgroupBroadcast(key0, 0u); s0_0 += dot(query0, k); s1_0 += dot(query1, k); }
        { let k = subgroupBroadcast(key0, 1u); s0_1 += dot(query0, k); s1_1 += dot(query1, k); }
        { let k = subgroupBroadcast(key0, 2u); s0_2 += dot(query0, k); s1_2 += dot(query1, k); }
        { let k = subgroupBroadcast(key0, 3u); s0_3 += dot(query0, k); s1_3 += dot(query1, k); }
        { let k = subgroupBroadcast(key0, 4u); s0_4 += dot(query0, k); s1_4 += dot(query1, k); }
        { let k = subgroupBroadcast(key0, 5u); s0_5 += dot(query0, k); s1_5 += dot(query1, k); }
        { let k = subgroupBroadcast(key0, 6u); s0_6 += dot(query0, k); s1_6 += dot(query1, k); }
        { let k = subgroupBroadcast(key0, 7u); s0_7 += dot(query0, k); s1_7 += dot(query1, k); }
        { let k = subgroupBroadcast(key1, 0u); s0_8 += dot(query0, k); s1_8 += dot(query1, k); }
        { let k = subgroupBroadcast(key1, 1u); s0_9 += dot(query0, k); s1_9 += dot(query1, k); }
        { let k = subgroupBroadcast(key1, 2u); s0_10 += dot(query0, k); s1_10 += dot(query1, k); }
        { let k = subgroupBroadcast(key1, 3u); s0_11 += dot(query0, k); s1_11 += dot(query1, k); }
        { let k = subgroupBroadcast(key1, 4u); s0_12 += dot(query0, k); s1_12 += dot(query1, k); }
        { let k = subgroupBroadcast(key1, 5u); s0_13 += dot(query0, k); s1_13 += dot(query1, k); }
        { let k = subgroupBroadcast(key1, 6u); s0_14 += dot(query0, k); s1_14 += dot(query1, k); }
        { let k = subgroupBroadcast(key1, 7u); s0_15 += dot(query0, k); s1_15 += dot(query1, k); }
      }

      if (k0 + 16u > segment.end) {
        s0_0 = select(s0_0, -3e38, k0 + 0u >= segment.end);
        s1_0 = select(s1_0, -3e38, k0 + 0u >= segment.end);
        s0_1 = select(s0_1, -3e38, k0 + 1u >= segment.end);
        s1_1 = select(s1_1, -3e38, k0 + 1u >= segment.end);
        s0_2 = select(s0_2, -3e38, k0 + 2u >= segment.end);
        s1_2 = select(s1_2, -3e38, k0 + 2u >= segment.end);
        s0_3 = select(s0_3, -3e38, k0 + 3u >= segment.end);
        s1_3 = select(s1_3, -3e38, k0 + 3u >= segment.end);
        s0_4 = select(s0_4, -3e38, k0 + 4u >= segment.end);
        s1_4 = select(s1_4, -3e38, k0 + 4u >= segment.end);
        s0_5 = select(s0_5, -3e38, k0 + 5u >= segment.end);
        s1_5 = select(s1_5, -3e38, k0 + 5u >= segment.end);
        s0_6 = select(s0_6, -3e38, k0 + 6u >= segment.end);
        s1_6 = select(s1_6, -3e38, k0 + 6u >= segment.end);
        s0_7 = select(s0_7, -3e38, k0 + 7u >= segment.end);
        s1_7 = select(s1_7, -3e38, k0 + 7u >= segment.end);
        s0_8 = select(s0_8, -3e38, k0 + 8u >= segment.end);
        s1_8 = select(s1_8, -3e38, k0 + 8u >= segment.end);
        s0_9 = select(s0_9, -3e38, k0 + 9u >= segment.end);
        s1_9 = select(s1_9, -3e38, k0 + 9u >= segment.end);
        s0_10 = select(s0_10, -3e38, k0 + 10u >= segment.end);
        s1_10 = select(s1_10, -3e38, k0 + 10u >= segment.end);
        s0_11 = select(s0_11, -3e38, k0 + 11u >= segment.end);
        s1_11 = select(s1_11, -3e38, k0 + 11u >= segment.end);
        s0_12 = select(s0_12, -3e38, k0 + 12u >= segment.end);
        s1_12 = select(s1_12, -3e38, k0 + 12u >= segment.end);
        s0_13 = select(s0_13, -3e38, k0 + 13u >= segment.end);
        s1_13 = select(s1_13, -3e38, k0 + 13u >= segment.end);
        s0_14 = select(s0_14, -3e38, k0 + 14u >= segment.end);
        s1_14 = select(s1_14, -3e38, k0 + 14u >= segment.end);
        s0_15 = select(s0_15, -3e38, k0 + 15u >= segment.end);
        s1_15 = select(s1_15, -3e38, k0 + 15u >= segment.end);
      }

      // 2. Softmax of this lane's queries.
      let top0 = max(m0, max(max(max(max(s0_0, s0_1), max(s0_2, s0_3)), max(max(s0_4, s0_5), max(s0_6, s0_7))), max(max(max(s0_8, s0_9), max(s0_10, s0_11)), max(max(s0_12, s0_13), max(s0_14, s0_15)))));
      let shrink0 = exp2(m0 - top0);
      m0 = top0;
      s0_0 = exp2(s0_0 - top0);
      s0_1 = exp2(s0_1 - top0);
      s0_2 = exp2(s0_2 - top0);
      s0_3 = exp2(s0_3 - top0);
      s0_4 = exp2(s0_4 - top0);
      s0_5 = exp2(s0_5 - top0);
      s0_6 = exp2(s0_6 - top0);
      s0_7 = exp2(s0_7 - top0);
      s0_8 = exp2(s0_8 - top0);
      s0_9 = exp2(s0_9 - top0);
      s0_10 = exp2(s0_10 - top0);
      s0_11 = exp2(s0_11 - top0);
      s0_12 = exp2(s0_12 - top0);
      s0_13 = exp2(s0_13 - top0);
      s0_14 = exp2(s0_14 - top0);
      s0_15 = exp2(s0_15 - top0);
      l0 = l0 * shrink0 + ((((s0_0 + s0_1) + (s0_2 + s0_3)) + ((s0_4 + s0_5) + (s0_6 + s0_7))) + (((s0_8 + s0_9) + (s0_10 + s0_11)) + ((s0_12 + s0_13) + (s0_14 + s0_15))));
      let top1 = max(m1, max(max(max(max(s1_0, s1_1), max(s1_2, s1_3)), max(max(s1_4, s1_5), max(s1_6, s1_7))), max(max(max(s1_8, s1_9), max(s1_10, s1_11)), max(max(s1_12, s1_13), max(s1_14, s1_15)))));
      let shrink1 = exp2(m1 - top1);
      m1 = top1;
      s1_0 = exp2(s1_0 - top1);
      s1_1 = exp2(s1_1 - top1);
      s1_2 = exp2(s1_2 - top1);
      s1_3 = exp2(s1_3 - top1);
      s1_4 = exp2(s1_4 - top1);
      s1_5 = exp2(s1_5 - top1);
      s1_6 = exp2(s1_6 - top1);
      s1_7 = exp2(s1_7 - top1);
      s1_8 = exp2(s1_8 - top1);
      s1_9 = exp2(s1_9 - top1);
      s1_10 = exp2(s1_10 - top1);
      s1_11 = exp2(s1_11 - top1);
      s1_12 = exp2(s1_12 - top1);
      s1_13 = exp2(s1_13 - top1);
      s1_14 = exp2(s1_14 - top1);
      s1_15 = exp2(s1_15 - top1);
      l1 = l1 * shrink1 + ((((s1_0 + s1_1) + (s1_2 + s1_3)) + ((s1_4 + s1_5) + (s1_6 + s1_7))) + (((s1_8 + s1_9) + (s1_10 + s1_11)) + ((s1_12 + s1_13) + (s1_14 + s1_15))));
      if (subgroupAny(shrink0 != 1.0 || shrink1 != 1.0)) {
        { let f = subgroupBroadcast(shrink0, 0u); o[0] *= f; }
        { let f = subgroupBroadcast(shrink0, 1u); o[1] *= f; }
        { let f = subgroupBroadcast(shrink0, 2u); o[2] *= f; }
        { let f = subgroupBroadcast(shrink0, 3u); o[3] *= f; }
        { let f = subgroupBroadcast(shrink0, 4u); o[4] *= f; }
        { let f = subgroupBroadcast(shrink0, 5u); o[5] *= f; }
        { let f = subgroupBroadcast(shrink0, 6u); o[6] *= f; }
        { let f = subgroupBroadcast(shrink0, 7u); o[7] *= f; }
        { let f = subgroupBroadcast(shrink1, 0u); o[8] *= f; }
        { let f = subgroupBroadcast(shrink1, 1u); o[9] *= f; }
        { let f = subgroupBroadcast(shrink1, 2u); o[10] *= f; }
        { let f = subgroupBroadcast(shrink1, 3u); o[11] *= f; }
        { let f = subgroupBroadcast(shrink1, 4u); o[12] *= f; }
        { let f = subgroupBroadcast(shrink1, 5u); o[13] *= f; }
        { let f = subgroupBroadcast(shrink1, 6u); o[14] *= f; }
        { let f = subgroupBroadcast(shrink1, 7u); o[15] *= f; }
      }

      // 3. Output: this lane's channels of all queries. Keys past the end weigh 0 and repeat the last value.
      let keys = min(16u * params.one, segment.end - k0);
      var p0: array<f32, 16>;
      var p1: array<f32, 16>;
      p0[0] = s0_0;
      p1[0] = s1_0;
      p0[1] = s0_1;
      p1[1] = s1_1;
      p0[2] = s0_2;
      p1[2] = s1_2;
      p0[3] = s0_3;
      p1[3] = s1_3;
      p0[4] = s0_4;
      p1[4] = s1_4;
      p0[5] = s0_5;
      p1[5] = s1_5;
      p0[6] = s0_6;
      p1[6] = s1_6;
      p0[7] = s0_7;
      p1[7] = s1_7;
      p0[8] = s0_8;
      p1[8] = s1_8;
      p0[9] = s0_9;
      p1[9] = s1_9;
      p0[10] = s0_10;
      p1[10] = s1_10;
      p0[11] = s0_11;
      p1[11] = s1_11;
      p0[12] = s0_12;
      p1[12] = s1_12;
      p0[13] = s0_13;
      p1[13] = s1_13;
      p0[14] = s0_14;
      p1[14] = s1_14;
      p0[15] = s0_15;
      p1[15] = s1_15;
      for (var k = 0u; k < keys; k++) {
        let at = kv_at(t, segment.in_context, k0 + k);
        let w0 = p0[k];
        let w1 = p1[k];
        let v0 = value4(segment.in_context, at + min(lane + 0u, DV - 1u));
        { let w = subgroupBroadcast(w0, 0u); o[0] += w * v0; }
        { let w = subgroupBroadcast(w0, 1u); o[1] += w * v0; }
        { let w = subgroupBroadcast(w0, 2u); o[2] += w * v0; }
        { let w = subgroupBroadcast(w0, 3u); o[3] += w * v0; }
        { let w = subgroupBroadcast(w0, 4u); o[4] += w * v0; }
        { let w = subgroupBroadcast(w0, 5u); o[5] += w * v0; }
        { let w = subgroupBroadcast(w0, 6u); o[6] += w * v0; }
        { let w = subgroupBroadcast(w0, 7u); o[7] += w * v0; }
        { let w = subgroupBroadcast(w1, 0u); o[8] += w * v0; }
        { let w = subgroupBroadcast(w1, 1u); o[9] += w * v0; }
        { let w = subgroupBroadcast(w1, 2u); o[10] += w * v0; }
        { let w = subgroupBroadcast(w1, 3u); o[11] += w * v0; }
        { let w = subgroupBroadcast(w1, 4u); o[12] += w * v0; }
        { let w = subgroupBroadcast(w1, 5u); o[13] += w * v0; }
        { let w = subgroupBroadcast(w1, 6u); o[14] += w * v0; }
        { let w = subgroupBroadcast(w1, 7u); o[15] += w * v0; }
      }
    }
  }

  // 4. Divide once, store.
  let inverse0 = select(1.0 / l0, 0.0, l0 == 0.0);
  let inverse1 = select(1.0 / l1, 0.0, l1 == 0.0);
  { let f = subgroupBroadcast(inverse0, 0u); o[0] *= f; }
  { let f = subgroupBroadcast(inverse0, 1u); o[1] *= f; }
  { let f = subgroupBroadcast(inverse0, 2u); o[2] *= f; }
  { let f = subgroupBroadcast(inverse0, 3u); o[3] *= f; }
  { let f = subgroupBroadcast(inverse0, 4u); o[4] *= f; }
  { let f = subgroupBroadcast(inverse0, 5u); o[5] *= f; }
  { let f = subgroupBroadcast(inverse0, 6u); o[6] *= f; }
  { let f = subgroupBroadcast(inverse0, 7u); o[7] *= f; }
  { let f = subgroupBroadcast(inverse1, 0u); o[8] *= f; }
  { let f = subgroupBroadcast(inverse1, 1u); o[9] *= f; }
  { let f = subgroupBroadcast(inverse1, 2u); o[10] *= f; }
  { let f = subgroupBroadcast(inverse1, 3u); o[11] *= f; }
  { let f = subgroupBroadcast(inverse1, 4u); o[12] *= f; }
  { let f = subgroupBroadcast(inverse1, 5u); o[13] *= f; }
  { let f = subgroupBroadcast(inverse1, 6u); o[14] *= f; }
  { let f = subgroupBroadcast(inverse1, 7u); o[15] *= f; }
  for (var q = 0u; q < min(16u * params.one, t.end - t.first); q++) {
    for (var v = lane; v < 6u * params.one; v += 8u) {
      result4(t, t.first + q, v, o[q * 1u + v / 8u]);
    }
  }
  if (t.first + 0u + lane < t.end) { store_log_sum_exp(t, t.first + 0u + lane, m0, l0); }
  if (t.first + 8u + lane < t.end) { store_log_sum_exp(t, t.first + 8u + lane, m1, l1); }
}
