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
@group(0) @binding(3) var<storage, read> index: array<u32>;
@group(0) @binding(4) var<storage, read_write> result: array<vec4f>;
@group(0) @binding(5) var<uniform> params: Params;
const DV = 16u;
const TILE = 64u;
const UNITS = 16u;
fn load4_query(i: u32) -> vec4f { return query[i]; }
fn load4_key(i: u32) -> vec4f { return key[i]; }
fn load4_value(i: u32) -> vec4f { return value[i]; }

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

  return t;
}

fn find_segment(t: Tile, i: u32) -> Segment {
  var s: Segment;

  s.start = index[params.rangesAt + 2u * (t.range + i)];
  s.end = index[params.rangesAt + 2u * (t.range + i) + 1u];

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


const BK = 32u;
var<workgroup> stage: array<vec4f, 512>;
var<workgroup> weights: array<vec4f, 512>; // [key][thread row]: the 4 queries of that row of threads

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  if (workgroup >= params.count) { return; }
  let t = find_tile(workgroup);
  let x = thread % 8u;
  let y = thread / 8u;
  var m = vec4f(-1e30);
  var l = vec4f(0.0); // over this thread's keys only, until the end
  var o0_0 = vec4f(0.0);
  var o1_0 = vec4f(0.0);
  var o2_0 = vec4f(0.0);
  var o3_0 = vec4f(0.0);
  var o0_1 = vec4f(0.0);
  var o1_1 = vec4f(0.0);
  var o2_1 = vec4f(0.0);
  var o3_1 = vec4f(0.0);

  for (var i = 0u; i < t.segments; i++) {
    let segment = find_segment(t, i);
    for (var k0 = segment.start; k0 < segment.end; k0 += BK) {
      // 1. Scores of this thread's 4 queries (components) and 4 keys, in units of log2.
      var s0 = vec4f(0.0);
      var s1 = vec4f(0.0);
      var s2 = vec4f(0.0);
      var s3 = vec4f(0.0);
      for (var d0 = 0u; d0 < 16u; d0 += 4u) {
        workgroupBarrier();
        for (var j = thread; j < 384u; j += 128u) {
          let row = j / 4u;
          let d = d0 + j % 4u;
          var v = vec4f(0.0);
          if (d < DV) {
            if (row < 64u) {
              v = query4(t, min(t.first + row, t.end - 1u), d);
            } else {
              v = key4(segment.in_context, kv_at(t, segment.in_context, min(k0 + row - 64u, segment.end - 1u)) + d);
            }
          }
          stage[row * 5u + j % 4u] = v;
        }
        workgroupBarrier();
        for (var d = 0u; d < 4u; d++) {
          let q0 = stage[(y + 0u) * 5u + d];
          let q1 = stage[(y + 16u) * 5u + d];
          let q2 = stage[(y + 32u) * 5u + d];
          let q3 = stage[(y + 48u) * 5u + d];
          { let k = stage[(64u + x + 0u) * 5u + d];
            s0 += vec4f(dot(q0, k), dot(q1, k), dot(q2, k), dot(q3, k)); }
          { let k = stage[(64u + x + 8u) * 5u + d];
            s1 += vec4f(dot(q0, k), dot(q1, k), dot(q2, k), dot(q3, k)); }
          { let k = stage[(64u + x + 16u) * 5u + d];
            s2 += vec4f(dot(q0, k), dot(q1, k), dot(q2, k), dot(q3, k)); }
          { let k = stage[(64u + x + 24u) * 5u + d];
            s3 += vec4f(dot(q0, k), dot(q1, k), dot(q2, k), dot(q3, k)); }
        }
      }
      s0 *= params.scale;
      if (k0 + x + 0u >= segment.end) { s0 = vec4f(-3e38); }
      s1 *= params.scale;
      if (k0 + x + 8u >= segment.end) { s1 = vec4f(-3e38); }
      s2 *= params.scale;
      if (k0 + x + 16u >= segment.end) { s2 = vec4f(-3e38); }
      s3 *= params.scale;
      if (k0 + x + 24u >= segment.end) { s3 = vec4f(-3e38); }

      // 2. Largest score of each query over the row of threads.
      weights[x * 16u + y] = max(max(s0, s1), max(s2, s3));
      workgroupBarrier();
      var top = m;
      for (var j = 0u; j < 8u; j++) { top = max(top, weights[j * 16u + y]); }
      workgroupBarrier();
      let shrink = exp2(m - top);
      m = top;
      s0 = exp2(s0 - m);
      weights[(x + 0u) * 16u + y] = s0;
      s1 = exp2(s1 - m);
      weights[(x + 8u) * 16u + y] = s1;
      s2 = exp2(s2 - m);
      weights[(x + 16u) * 16u + y] = s2;
      s3 = exp2(s3 - m);
      weights[(x + 24u) * 16u + y] = s3;
      l = l * shrink + ((s0 + s1) + (s2 + s3));
      if (any(shrink != vec4f(1.0))) {
        o0_0 *= shrink[0];
        o1_0 *= shrink[1];
        o2_0 *= shrink[2];
        o3_0 *= shrink[3];
        o0_1 *= shrink[0];
        o1_1 *= shrink[1];
        o2_1 *= shrink[2];
        o3_1 *= shrink[3];
      }

      // 3. Output += weights times values. Keys past the end weigh 0 and repeat the last value, which is finite.
      for (var v0 = 0u; v0 < 32u; v0 += 32u) {
        if (k0 + v0 >= segment.end) { break; }
        workgroupBarrier();
        for (var j = thread; j < 512u; j += 128u) {
          let v = value4(segment.in_context, kv_at(t, segment.in_context, min(k0 + v0 + j / DV, segment.end - 1u)) + j % DV);
          stage[j] = v;
        }
        workgroupBarrier();
        for (var k = 0u; k < 32u; k++) {
          let p = weights[(v0 + k) * 16u + y];
          { let v = stage[k * DV + x + 0u]; o0_0 += p[0] * v; o1_0 += p[1] * v; o2_0 += p[2] * v; o3_0 += p[3] * v; }
          { let v = stage[k * DV + x + 8u]; o0_1 += p[0] * v; o1_1 += p[1] * v; o2_1 += p[2] * v; o3_1 += p[3] * v; }
        }
      }
    }
  }

  // 4. Sum the weights over the row of threads, divide once, store.
  workgroupBarrier();
  weights[x * 16u + y] = l;
  workgroupBarrier();
  var total = vec4f(0.0);
  for (var j = 0u; j < 8u; j++) { total += weights[j * 16u + y]; }
  let inverse = select(1.0 / total, vec4f(0.0), total == vec4f(0.0));
  if (t.first + y + 0u < t.end) {
    result4(t, t.first + y + 0u, x + 0u, o0_0 * inverse[0]);
    result4(t, t.first + y + 0u, x + 8u, o0_1 * inverse[0]);
  }
  if (t.first + y + 16u < t.end) {
    result4(t, t.first + y + 16u, x + 0u, o1_0 * inverse[1]);
    result4(t, t.first + y + 16u, x + 8u, o1_1 * inverse[1]);
  }
  if (t.first + y + 32u < t.end) {
    result4(t, t.first + y + 32u, x + 0u, o2_0 * inverse[2]);
    result4(t, t.first + y + 32u, x + 8u, o2_1 * inverse[2]);
  }
  if (t.first + y + 48u < t.end) {
    result4(t, t.first + y + 48u, x + 0u, o3_0 * inverse[3]);
    result4(t, t.first + y + 48u, x + 8u, o3_1 * inverse[3]);
  }
}
