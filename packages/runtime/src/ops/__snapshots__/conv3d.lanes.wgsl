enable subgroups;
struct Params {
  m: u32,
  out_frames: u32,
  out_width: u32,
  n: u32,
  column_start: u32,
  column_end: u32,
  steps: u32,
  frames: i32,
  height: i32,
  width: i32,
  history: i32,
  taps_t: u32,
  taps_h: u32,
  taps_w: u32,
  taps: u32,
  first_tap: u32,
  stride_t: u32,
  stride_h: u32,
  stride_w: u32,
  front: i32,
  top: i32,
  left: i32,
}
@group(0) @binding(0) var<storage, read> x: array<vec2u>;
@group(0) @binding(1) var<storage, read> history: array<vec2u>;
@group(0) @binding(2) var<storage, read> weight: array<vec2u>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read> residual: array<vec2u>;
@group(0) @binding(5) var<storage, read_write> out: array<vec2u>;
@group(0) @binding(6) var<uniform> params: Params;
fn load4_x(i: u32) -> vec4f { let w = x[i]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn load4_weight(i: u32) -> vec4f { let w = weight[i]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn load4_history(i: u32) -> vec4f { let w = history[i]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn input_at(cached: bool, i: u32) -> vec4f { if (cached) { return load4_history(i); } return load4_x(i); }

// Input frame of a tap in time; negative: cached frames. Outside of -history..frames: padding with zeros.
fn frame_of(out_frame: u32, tap: u32) -> i32 {
  let t = i32(out_frame * params.stride_t + tap) - params.front;
  return t;
}
fn is_frame(t: i32) -> bool { return t >= -params.history && t < params.frames; }
// First position (in pixels) of the frame in the buffer that holds it.
fn frame_base(t: i32) -> i32 { return select(t, t + params.history, t < 0) * params.height * params.width; }
// Input column and row of the first tap in space.
fn corner_of(row: u32) -> vec2i {
  let y = row / params.out_width;
  let x = row - y * params.out_width;
  return vec2i(i32(x * params.stride_w) - params.left, i32(y * params.stride_h) - params.top);
}
// Index of the first four channels at a position of the frame that starts at base; -1: padding with zeros.
fn pixel_at(base: i32, p: vec2i) -> i32 {
  if (any(p < vec2i(0)) || p.x >= params.width || p.y >= params.height) { return -1; }
  return (base + p.y * params.width + p.x) * i32(params.steps);
}
fn load4_bias(i: u32) -> vec4f { return bias[i]; }
fn load4_residual(i: u32) -> vec4f { let w = residual[i]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn store4_out(i: u32, v: vec4f) { out[i] = vec2u(pack2x16float(v.xy), pack2x16float(v.zw)); }
fn finish(row: u32, column: u32, sum: vec4f) {
  let at = row * params.n + column;
  var v = sum;
  v += load4_bias((column) >> 2u);
  v += load4_residual((at) >> 2u);
  store4_out(at >> 2u, v);
}

@compute @workgroup_size(4)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32, @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_id) subgroup: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  let row_tiles = (params.m + 7u) / 8u;
  let tiles = row_tiles * params.out_frames;
  // Positions run fastest: the weight rows of these columns stay in the cache.
  let column = (workgroup / tiles) * 16u;
  let count = params.column_end - params.column_start;
  if (column >= count) { return; }
  let frame = (workgroup % tiles) / row_tiles;
  let first = ((workgroup % tiles) % row_tiles) * 8u;
  let corner0 = corner_of(min(first + 0u + lane, params.m - 1u));
  let corner1 = corner_of(min(first + 4u + lane, params.m - 1u));
  let row0 = min(column + 0u + lane, count - 1u) * params.taps + params.first_tap;
  let row1 = min(column + 4u + lane, count - 1u) * params.taps + params.first_tap;
  let row2 = min(column + 8u + lane, count - 1u) * params.taps + params.first_tap;
  let row3 = min(column + 12u + lane, count - 1u) * params.taps + params.first_tap;
  var s0 = vec4f(0.0);
  var s1 = vec4f(0.0);
  var s2 = vec4f(0.0);
  var s3 = vec4f(0.0);
  var s4 = vec4f(0.0);
  var s5 = vec4f(0.0);
  var s6 = vec4f(0.0);
  var s7 = vec4f(0.0);
  var tap = 0u;
  for (var tt = 0u; tt < params.taps_t; tt++) {
    let t = frame_of(frame, tt);
    if (!is_frame(t)) { tap += params.taps_h * params.taps_w; continue; }
    let base = frame_base(t);
    for (var ty = 0u; ty < params.taps_h; ty++) {
      for (var tx = 0u; tx < params.taps_w; tx++) {
        let offset = vec2i(i32(tx), i32(ty));
        let pixel0 = pixel_at(base, corner0 + offset);
        let inside0 = pixel0 >= 0;
        let from0 = u32(max(pixel0, 0));
        let pixel1 = pixel_at(base, corner1 + offset);
        let inside1 = pixel1 >= 0;
        let from1 = u32(max(pixel1, 0));
        let weight0 = (row0 + tap) * params.steps;
        let weight1 = (row1 + tap) * params.steps;
        let weight2 = (row2 + tap) * params.steps;
        let weight3 = (row3 + tap) * params.steps;
        if (t < 0) {
        for (var k4 = 0u; k4 < params.steps; k4++) {
          let x0 = select(vec4f(0.0), load4_history(from0 + k4), inside0);
          let x1 = select(vec4f(0.0), load4_history(from1 + k4), inside1);
          let w0 = load4_weight(weight0 + k4);
          let w1 = load4_weight(weight1 + k4);
          let w2 = load4_weight(weight2 + k4);
          let w3 = load4_weight(weight3 + k4);
          {
            let b0 = subgroupBroadcast(w0, 0u);
            let b1 = subgroupBroadcast(w0, 1u);
            let b2 = subgroupBroadcast(w0, 2u);
            let b3 = subgroupBroadcast(w0, 3u);
            s0 += vec4f(dot(x0, b0), dot(x0, b1), dot(x0, b2), dot(x0, b3));
            s4 += vec4f(dot(x1, b0), dot(x1, b1), dot(x1, b2), dot(x1, b3));
          }
          {
            let b0 = subgroupBroadcast(w1, 0u);
            let b1 = subgroupBroadcast(w1, 1u);
            let b2 = subgroupBroadcast(w1, 2u);
            let b3 = subgroupBroadcast(w1, 3u);
            s1 += vec4f(dot(x0, b0), dot(x0, b1), dot(x0, b2), dot(x0, b3));
            s5 += vec4f(dot(x1, b0), dot(x1, b1), dot(x1, b2), dot(x1, b3));
          }
          {
            let b0 = subgroupBroadcast(w2, 0u);
            let b1 = subgroupBroadcast(w2, 1u);
            let b2 = subgroupBroadcast(w2, 2u);
            let b3 = subgroupBroadcast(w2, 3u);
            s2 += vec4f(dot(x0, b0), dot(x0, b1), dot(x0, b2), dot(x0, b3));
            s6 += vec4f(dot(x1, b0), dot(x1, b1), dot(x1, b2), dot(x1, b3));
          }
          {
            let b0 = subgroupBroadcast(w3, 0u);
            let b1 = subgroupBroadcast(w3, 1u);
            let b2 = subgroupBroadcast(w3, 2u);
            let b3 = subgroupBroadcast(w3, 3u);
            s3 += vec4f(dot(x0, b0), dot(x0, b1), dot(x0, b2), dot(x0, b3));
            s7 += vec4f(dot(x1, b0), dot(x1, b1), dot(x1, b2), dot(x1, b3));
          }
        }
        } else {
        for (var k4 = 0u; k4 < params.steps; k4++) {
          let x0 = select(vec4f(0.0), load4_x(from0 + k4), inside0);
          let x1 = select(vec4f(0.0), load4_x(from1 + k4), inside1);
          let w0 = load4_weight(weight0 + k4);
          let w1 = load4_weight(weight1 + k4);
          let w2 = load4_weight(weight2 + k4);
          let w3 = load4_weight(weight3 + k4);
          {
            let b0 = subgroupBroadcast(w0, 0u);
            let b1 = subgroupBroadcast(w0, 1u);
            let b2 = subgroupBroadcast(w0, 2u);
            let b3 = subgroupBroadcast(w0, 3u);
            s0 += vec4f(dot(x0, b0), dot(x0, b1), dot(x0, b2), dot(x0, b3));
            s4 += vec4f(dot(x1, b0), dot(x1, b1), dot(x1, b2), dot(x1, b3));
          }
          {
            let b0 = subgroupBroadcast(w1, 0u);
            let b1 = subgroupBroadcast(w1, 1u);
            let b2 = subgroupBroadcast(w1, 2u);
            let b3 = subgroupBroadcast(w1, 3u);
            s1 += vec4f(dot(x0, b0), dot(x0, b1), dot(x0, b2), dot(x0, b3));
            s5 += vec4f(dot(x1, b0), dot(x1, b1), dot(x1, b2), dot(x1, b3));
          }
          {
            let b0 = subgroupBroadcast(w2, 0u);
            let b1 = subgroupBroadcast(w2, 1u);
            let b2 = subgroupBroadcast(w2, 2u);
            let b3 = subgroupBroadcast(w2, 3u);
            s2 += vec4f(dot(x0, b0), dot(x0, b1), dot(x0, b2), dot(x0, b3));
            s6 += vec4f(dot(x1, b0), dot(x1, b1), dot(x1, b2), dot(x1, b3));
          }
          {
            let b0 = subgroupBroadcast(w3, 0u);
            let b1 = subgroupBroadcast(w3, 1u);
            let b2 = subgroupBroadcast(w3, 2u);
            let b3 = subgroupBroadcast(w3, 3u);
            s3 += vec4f(dot(x0, b0), dot(x0, b1), dot(x0, b2), dot(x0, b3));
            s7 += vec4f(dot(x1, b0), dot(x1, b1), dot(x1, b2), dot(x1, b3));
          }
        }
        }
        tap += 1u;
      }
    }
  }
  var sums = array<vec4f, 8>(s0, s1, s2, s3, s4, s5, s6, s7);
  for (var i = 0u; i < 8u; i++) {
    let row = first + (i / 4u) * 4u + lane;
    let c = params.column_start + column + 4u * (i % 4u);
    if (row < params.m && c < params.column_end) { finish(frame * params.m + row, c, sums[i]); }
  }
}
