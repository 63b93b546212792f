enable f16;
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

var<workgroup> tile_x: array<vec4<f16>, 256>;
var<workgroup> tile_w: array<vec4<f16>, 256>;

fn input_or_zero(cached: bool, pixel: i32, k4: u32) -> vec4f {
  if (pixel < 0 || k4 >= params.steps) { return vec4f(0.0); }
  return input_at(cached, u32(pixel) + k4);
}
fn weight_or_zero(row: u32, k4: u32) -> vec4f {
  if (k4 >= params.steps) { return vec4f(0.0); }
  return load4_weight(row * params.steps + k4);
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  let row_tiles = (params.m + 63u) / 64u;
  let count = params.column_end - params.column_start;
  let column_tiles = (count + 63u) / 64u;
  // Channels run fastest: neighbours read the same positions.
  let tile_column = (workgroup % column_tiles) * 64u;
  let frame = workgroup / column_tiles / row_tiles;
  let first = ((workgroup / column_tiles) % row_tiles) * 64u;
  if (frame >= params.out_frames) { return; }
  let tx = thread % 16u;
  let ty = thread / 16u;
  let b = thread % 64u;
  let kb = b % 4u;
  let rb = b / 4u;
  let stages_x = thread < 64u;
  let stages_w = thread >= 64u;
  let corner0 = corner_of(min(first + rb * 4u + 0u, params.m - 1u));
  let corner1 = corner_of(min(first + rb * 4u + 1u, params.m - 1u));
  let corner2 = corner_of(min(first + rb * 4u + 2u, params.m - 1u));
  let corner3 = corner_of(min(first + rb * 4u + 3u, params.m - 1u));
  let wb = thread - 64u;
  let wk = wb % 4u;
  let wr = wb / 4u;
  let row0 = min(tile_column + wr * 4u + 0u, count - 1u) * params.taps + params.first_tap;
  let row1 = min(tile_column + wr * 4u + 1u, count - 1u) * params.taps + params.first_tap;
  let row2 = min(tile_column + wr * 4u + 2u, count - 1u) * params.taps + params.first_tap;
  let row3 = min(tile_column + wr * 4u + 3u, count - 1u) * params.taps + params.first_tap;
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
    let cached = t < 0;
    for (var ky = 0u; ky < params.taps_h; ky++) {
      for (var kx = 0u; kx < params.taps_w; kx++) {
        let offset = vec2i(i32(kx), i32(ky));
        let pixel0 = pixel_at(base, corner0 + offset);
        let pixel1 = pixel_at(base, corner1 + offset);
        let pixel2 = pixel_at(base, corner2 + offset);
        let pixel3 = pixel_at(base, corner3 + offset);
        for (var k0 = 0u; k0 < params.steps; k0 += 4u) {
          if (stages_x) {
            let m = transpose(mat4x4f(input_or_zero(cached, pixel0, k0 + kb), input_or_zero(cached, pixel1, k0 + kb), input_or_zero(cached, pixel2, k0 + kb), input_or_zero(cached, pixel3, k0 + kb)));
            tile_x[(4u * kb + 0u) * 16u + rb] = vec4<f16>(m[0]);
            tile_x[(4u * kb + 1u) * 16u + rb] = vec4<f16>(m[1]);
            tile_x[(4u * kb + 2u) * 16u + rb] = vec4<f16>(m[2]);
            tile_x[(4u * kb + 3u) * 16u + rb] = vec4<f16>(m[3]);
          }
          if (stages_w) {
            let m = transpose(mat4x4f(weight_or_zero(row0 + tap, k0 + wk), weight_or_zero(row1 + tap, k0 + wk), weight_or_zero(row2 + tap, k0 + wk), weight_or_zero(row3 + tap, k0 + wk)));
            tile_w[(4u * wk + 0u) * 16u + wr] = vec4<f16>(m[0]);
            tile_w[(4u * wk + 1u) * 16u + wr] = vec4<f16>(m[1]);
            tile_w[(4u * wk + 2u) * 16u + wr] = vec4<f16>(m[2]);
            tile_w[(4u * wk + 3u) * 16u + wr] = vec4<f16>(m[3]);
          }
          workgroupBarrier();
          for (var k = 0u; k < 16u; k++) {
            let a0 = vec4f(tile_x[k * 16u + ty + 0u]);
            let a1 = vec4f(tile_x[k * 16u + ty + 8u]);
            let c0 = vec4f(tile_w[k * 16u + tx + 0u]);
            s0 += a0[0] * c0;
            s1 += a0[1] * c0;
            s2 += a0[2] * c0;
            s3 += a0[3] * c0;
            s4 += a1[0] * c0;
            s5 += a1[1] * c0;
            s6 += a1[2] * c0;
            s7 += a1[3] * c0;
          }
          workgroupBarrier();
        }
        tap += 1u;
      }
    }
  }
  var sums = array<vec4f, 8>(s0, s1, s2, s3, s4, s5, s6, s7);
  for (var i = 0u; i < 8u; i++) {
    let r = i / 1u;
    let row = first + 4u * (ty + (r >> 2u) * 8u) + (r & 3u);
    let column = params.column_start + tile_column + 4u * (tx + (i % 1u) * 16u);
    if (row < params.m && column < params.column_end) { finish(frame * params.m + row, column, sums[i]); }
  }
}
