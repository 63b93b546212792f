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
@group(0) @binding(0) var<storage, read> query: array<vec2u>;
@group(0) @binding(1) var<storage, read> key: array<vec2u>;
@group(0) @binding(2) var<storage, read> value: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> result: array<vec2u>;
@group(0) @binding(4) var<uniform> params: Params;
const DV = 32u;
const TILE = 8u;
const UNITS = 32u;
fn load4_query(i: u32) -> vec4f { let w = query[i]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn load4_key(i: u32) -> vec4f { let w = key[i]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn load4_value(i: u32) -> vec4f { let w = value[i]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }

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

fn query4(t: Tile, token: u32, d: u32) -> vec4f {
  return load4_query(((t.batch * params.queries + token) * params.heads + t.head) * UNITS + d);
}
fn kv_at(t: Tile, in_context: bool, token: u32) -> u32 {
  return ((t.batch * params.keys + token) * params.kvHeads + t.kv_head) * UNITS;
}
fn key4(in_context: bool, i: u32) -> vec4f {
  return load4_key(i);
}
fn value4(in_context: bool, i: u32) -> vec4f {
  return load4_value(i);
}
fn result4(t: Tile, token: u32, d: u32, v: vec4f) {
  store4_result(((t.batch * params.queries + token) * params.heads + t.head) * DV + d, v);
}



@compute @workgroup_size(4)
@diagnostic(off, subgroup_uniformity)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  if (workgroup >= params.count) { return; }
  let t = find_tile(workgroup);
  var q0: array<vec4f, 32>;
  var m0 = -1e30;
  var l0 = 0.0;
  var q1: array<vec4f, 32>;
  var m1 = -1e30;
  var l1 = 0.0;
  for (var d = 0u; d < 32u * params.one; d++) {
    q0[d] = query4(t, min(t.first + 0u + lane, t.end - 1u), d) * params.scale;
    q1[d] = query4(t, min(t.first + 4u + lane, t.end - 1u), d) * params.scale;
  }
  var o: array<vec4f, 64>; // [query][column]

  for (var i = 0u; i < t.segments; i++) {
    let segment = find_segment(t, i);
    for (var k0 = segment.start; k0 < segment.end; k0 += 8u) {
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
      let at0 = kv_at(t, segment.in_context, min(k0 + 0u + lane, segment.end - 1u));
      let at1 = kv_at(t, segment.in_context, min(k0 + 4u + lane, segment.end - 1u));
      for (var d = 0u; d < 32u * params.one; d++) {
        let query0 = q0[d];
        let query1 = q1[d];
        let key0 = key4(segment.in_context, at0 + d);
        let key1 = key4(segment.in_context, at1 + d);
        { let k = subgroupBroadcast(key0, 0u); s0_0 += dot(query0, k); s1_0 += dot(query1, k); }
        { let k = subgroupBroadcast(key0, 1u); s0_1 += dot(query0, k); s1_1 += dot(query1, k); }
        { let k = subgroupBroadcast(key0, 2u); s0_2 += dot(query0, k); s1_2 += dot(query1, k); }
        { let k = subgroupBroadcast(key0, 3u); s0_3 += dot(query0, k); s1_3 += dot(query1, k); }
        { let k = subgroupBroadcast(key1, 0u); s0_4 += dot(query0, k); s1_4 += dot(query1, k); }
        { let k = subgroupBroadcast(key1, 1u); s0_5 += dot(query0, k); s1_5 += dot(query1, k); }
        { let k = subgroupBroadcast(key1, 2u); s0_6 += dot(query0, k); s1_6 += dot(query1, k); }
        { let k = subgroupBroadcast(key1, 3u); s0_7 += dot(query0, k); s1_7 += dot(query1, k); }
      }

      if (k0 + 8u > segment.end) {
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
      }

      // 2. Softmax of this lane's queries.
      let top0 = max(m0, max(max(max(s0_0, s0_1), max(s0_2, s0_3)), max(max(s0_4, s0_5), max(s0_6, s0_7))));
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
      l0 = l0 * shrink0 + (((s0_0 + s0_1) + (s0_2 + s0_3)) + ((s0_4 + s0_5) + (s0_6 + s0_7)));
      let top1 = max(m1, max(max(max(s1_0, s1_1), max(s1_2, s1_3)), max(max(s1_4, s1_5), max(s1_6, s1_7))));
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
      l1 = l1 * shrink1 + (((s1_0 + s1_1) + (s1_2 + s1_3)) + ((s1_4 + s1_5) + (s1_6 + s1_7)));
      if (subgroupAny(shrink0 != 1.0 || shrink1 != 1.0)) {
        { let f = subgroupBroadcast(shrink0, 0u); o[0] *= f; o[1] *= f; o[2] *= f; o[3] *= f; o[4] *= f; o[5] *= f; o[6] *= f; o[7] *= f; }
        { let f = subgroupBroadcast(shrink0, 1u); o[8] *= f; o[9] *= f; o[10] *= f; o[11] *= f; o[12] *= f; o[13] *= f; o[14] *= f; o[15] *= f; }
        { let f = subgroupBroadcast(shrink0, 2u); o[16] *= f; o[17] *= f; o[18] *= f; o[19] *= f; o[20] *= f; o[21] *= f; o[22] *= f; o[23] *= f; }
        { let f = subgroupBroadcast(shrink0, 3u); o[24] *= f; o[25] *= f; o[26] *= f; o[27] *= f; o[28] *= f; o[29] *= f; o[30] *= f; o[31] *= f; }
        { let f = subgroupBroadcast(shrink1, 0u); o[32] *= f; o[33] *= f; o[34] *= f; o[35] *= f; o[36] *= f; o[37] *= f; o[38] *= f; o[39] *= f; }
        { let f = subgroupBroadcast(shrink1, 1u); o[40] *= f; o[41] *= f; o[42] *= f; o[43] *= f; o[44] *= f; o[45] *= f; o[46] *= f; o[47] *= f; }
        { let f = subgroupBroadcast(shrink1, 2u); o[48] *= f; o[49] *= f; o[50] *= f; o[51] *= f; o[52] *= f; o[53] *= f; o[54] *= f; o[55] *= f; }
        { let f = subgroupBroadcast(shrink1, 3u); o[56] *= f; o[57] *= f; o[58] *= f; o[59] *= f; o[60] *= f; o[61] *= f; o[62] *= f; o[63] *= f; }
      }

      // 3. Output: this lane's channels of all queries. Keys past the end weigh 0 and repeat the last value.
      let keys = min(8u * params.one, segment.end - k0);
      var p0: array<f32, 8>;
      var p1: array<f32, 8>;
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
      for (var k = 0u; k < keys; k++) {
        let at = kv_at(t, segment.in_context, k0 + k);
        let w0 = p0[k];
        let w1 = p1[k];
        let v0 = value4(segment.in_context, at + lane + 0u);
        let v1 = value4(segment.in_context, at + lane + 4u);
        let v2 = value4(segment.in_context, at + lane + 8u);
        let v3 = value4(segment.in_context, at + lane + 12u);
        let v4 = value4(segment.in_context, at + lane + 16u);
        let v5 = value4(segment.in_context, at + lane + 20u);
        let v6 = value4(segment.in_context, at + lane + 24u);
        let v7 = value4(segment.in_context, at + lane + 28u);
        { let w = subgroupBroadcast(w0, 0u); o[0] += w * v0; o[1] += w * v1; o[2] += w * v2; o[3] += w * v3; o[4] += w * v4; o[5] += w * v5; o[6] += w * v6; o[7] += w * v7; }
        { let w = subgroupBroadcast(w0, 1u); o[8] += w * v0; o[9] += w * v1; o[10] += w * v2; o[11] += w * v3; o[12] += w * v4; o[13] += w * v5; o[14] += w * v6; o[15] += w * v7; }
        { let w = subgroupBroadcast(w0, 2u); o[16] += w * v0; o[17] += w * v1; o[18] += w * v2; o[19] += w * v3; o[20] += w * v4; o[21] += w * v5; o[22] += w * v6; o[23] += w * v7; }
        { let w = subgroupBroadcast(w0, 3u); o[24] += w * v0; o[25] += w * v1; o[26] += w * v2; o[27] += w * v3; o[28] += w * v4; o[29] += w * v5; o[30] += w * v6; o[31] += w * v7; }
        { let w = subgroupBroadcast(w1, 0u); o[32] += w * v0; o[33] += w * v1; o[34] += w * v2; o[35] += w * v3; o[36] += w * v4; o[37] += w * v5; o[38] += w * v6; o[39] += w * v7; }
        { let w = subgroupBroadcast(w1, 1u); o[40] += w * v0; o[41] += w * v1; o[42] += w * v2; o[43] += w * v3; o[44] += w * v4; o[45] += w * v5; o[46] += w * v6; o[47] += w * v7; }
        { let w = subgroupBroadcast(w1, 2u); o[48] += w * v0; o[49] += w * v1; o[50] += w * v2; o[51] += w * v3; o[52] += w * v4; o[53] += w * v5; o[54] += w * v6; o[55] += w * v7; }
        { let w = subgroupBroadcast(w1, 3u); o[56] += w * v0; o[57] += w * v1; o[58] += w * v2; o[59] += w * v3; o[60] += w * v4; o[61] += w * v5; o[62] += w * v6; o[63] += w * v7; }
      }
    }
  }

  // 4. Divide once, store.
  let inverse0 = select(1.0 / l0, 0.0, l0 == 0.0);
  let inverse1 = select(1.0 / l1, 0.0, l1 == 0.0);
  { let f = subgroupBroadcast(inverse0, 0u); o[0] *= f; o[1] *= f; o[2] *= f; o[3] *= f; o[4] *= f; o[5] *= f; o[6] *= f; o[7] *= f; }
  { let f = subgroupBroadcast(inverse0, 1u); o[8] *= f; o[9] *= f; o[10] *= f; o[11] *= f; o[12] *= f; o[13] *= f; o[14] *= f; o[15] *= f; }
  { let f = subgroupBroadcast(inverse0, 2u); o[16] *= f; o[17] *= f; o[18] *= f; o[19] *= f; o[20] *= f; o[21] *= f; o[22] *= f; o[23] *= f; }
  { let f = subgroupBroadcast(inverse0, 3u); o[24] *= f; o[25] *= f; o[26] *= f; o[27] *= f; o[28] *= f; o[29] *= f; o[30] *= f; o[31] *= f; }
  { let f = subgroupBroadcast(inverse1, 0u); o[32] *= f; o[33] *= f; o[34] *= f; o[35] *= f; o[36] *= f; o[37] *= f; o[38] *= f; o[39] *= f; }
  { let f = subgroupBroadcast(inverse1, 1u); o[40] *= f; o[41] *= f; o[42] *= f; o[43] *= f; o[44] *= f; o[45] *= f; o[46] *= f; o[47] *= f; }
  { let f = subgroupBroadcast(inverse1, 2u); o[48] *= f; o[49] *= f; o[50] *= f; o[51] *= f; o[52] *= f; o[53] *= f; o[54] *= f; o[55] *= f; }
  { let f = subgroupBroadcast(inverse1, 3u); o[56] *= f; o[57] *= f; o[58] *= f; o[59] *= f; o[60] *= f; o[61] *= f; o[62] *= f; o[63] *= f; }
  for (var q = 0u; q < min(8u * params.one, t.end - t.first); q++) {
    for (var v = lane; v < 32u * params.one; v += 4u) {
      result4(t, t.first + q, v, o[q * 8u + v / 4u]);
    }
  }
}
