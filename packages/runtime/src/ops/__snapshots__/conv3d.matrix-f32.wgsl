enable subgroups;
enable chromium_experimental_subgroup_matrix;
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
@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read> history: array<vec4u>;
@group(0) @binding(2) var<storage, read> weight: array<vec4u>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read> residual: array<vec2u>;
@group(0) @binding(5) var<storage, read_write> out: array<vec2u>;
@group(0) @binding(6) var<uniform> params: Params;
fn floats_x(i: u32) -> mat2x4f { let w = x[i]; return mat2x4f(vec4f(unpack2x16float(w.x), unpack2x16float(w.y)), vec4f(unpack2x16float(w.z), unpack2x16float(w.w))); }
fn floats_weight(i: u32) -> mat2x4f { let w = weight[i]; return mat2x4f(vec4f(unpack2x16float(w.x), unpack2x16float(w.y)), vec4f(unpack2x16float(w.z), unpack2x16float(w.w))); }
fn floats_history(i: u32) -> mat2x4f { let w = history[i]; return mat2x4f(vec4f(unpack2x16float(w.x), unpack2x16float(w.y)), vec4f(unpack2x16float(w.z), unpack2x16float(w.w))); }
fn floats_input(cached: bool, i: u32) -> mat2x4f { if (cached) { return floats_history(i); } return floats_x(i); }

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

var<private> tile_row: u32;
var<private> tile_column: u32;
var<private> tile_frame: u32;
fn finish_sums(row: u32, column: u32, sum: vec4f) {
  let r = tile_row + row;
  let c = params.column_start + tile_column + column;
  if (r < params.m && c < params.column_end) { finish(tile_frame * params.m + r, c, sum); }
}
// params.steps counts vectors of four channels.
fn input_or_zero(t: i32, place: vec2i, at: u32) -> mat2x4f {
  if (2u * at >= params.steps || !is_frame(t)) { return mat2x4f(); }
  let pixel = pixel_at(frame_base(t), place);
  if (pixel < 0) { return mat2x4f(); }
  return floats_input(t < 0, u32(pixel) / 2u + at);
}
fn weight_or_zero(row: u32, at: u32) -> mat2x4f {
  if (2u * at >= params.steps) { return mat2x4f(); }
  return floats_weight(row * (params.steps / 2u) + at);
}

var<workgroup> tile_x: array<vec4f, 320>;
var<workgroup> tile_w: array<vec4f, 480>;
var<workgroup> tile_sums: array<vec4f, 288>;

// Neighbouring matrices of a subgroup (so many vectors wide), whose first sum is that of the row and column of the tile.
fn store_sums(subgroup: u32, lane: u32, wide: u32, row: u32, column: u32) {
  for (var i = lane; i < 8u * wide; i += 32u) {
    let r = i / wide;
    let c = i % wide;
    finish_sums(row + r, column + 4u * c, tile_sums[subgroup * 48u + r * 6u + c]);
  }
}

@compute @workgroup_size(192)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32, @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_id) subgroup: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  let row_tiles = (params.m + 63u) / 64u;
  let count = params.column_end - params.column_start;
  let column_tiles = (count + 95u) / 96u;
  // Channels run fastest: neighbours read the same positions.
  tile_column = (workgroup % column_tiles) * 96u;
  let frame = workgroup / column_tiles / row_tiles;
  tile_frame = frame;
  tile_row = ((workgroup / column_tiles) % row_tiles) * 64u;
  if (frame >= params.out_frames) { return; }
  let first = ((workgroup / column_tiles) % row_tiles) * 64u;
  let first_column = (workgroup % column_tiles) * 96u;
  let corner0 = corner_of(min(first + thread / 2u + 0u, params.m - 1u));
  let channel0 = min(first_column + thread / 2u + 0u, count - 1u) * params.taps + params.first_tap;

  let load_group = thread % 2u;
  let load_at = (thread / 2u) * 5u + 2u * load_group;
  let block_row = (subgroup / 3u) * 32u;
  let block_column = (subgroup % 3u) * 32u;
  var s0 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var s1 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var s2 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var s3 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var s4 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var s5 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var s6 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var s7 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var s8 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var s9 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var s10 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var s11 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var s12 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var s13 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var s14 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var s15 = subgroup_matrix_result<f32, 8, 8>(0.0);
  var x0 = mat2x4f();
  var w0 = mat2x4f();
  // Taps in time before the first and after the last frame are skipped as a whole.
  var first_time = 0u;
  var end_time = params.taps_t;
  while (first_time < end_time && !is_frame(frame_of(frame, first_time))) { first_time++; }
  while (end_time > first_time && !is_frame(frame_of(frame, end_time - 1u))) { end_time--; }
  let first_tap = first_time * params.taps_h * params.taps_w;
  let tap_steps = (params.steps + 3u) / 4u;
  let end_step = (end_time - first_time) * params.taps_h * params.taps_w * tap_steps;
  if (end_step > 0u) {
  let tap = first_tap + 0u / tap_steps;
  let at = (0u % tap_steps) * 2u + load_group;
  let space = tap % (params.taps_h * params.taps_w);
  let t = frame_of(frame, tap / (params.taps_h * params.taps_w));
  let offset = vec2i(i32(space % params.taps_w), i32(space / params.taps_w));
  x0 = input_or_zero(t, corner0 + offset, at);
  w0 = weight_or_zero(channel0 + tap, at);
}
  for (var step = 0u; step < end_step; step++) {
    if (thread < 128u) {
      tile_x[load_at + 0u] = x0[0];
      tile_x[load_at + 1u] = x0[1];
    }
    tile_w[load_at + 0u] = w0[0];
    tile_w[load_at + 1u] = w0[1];
    workgroupBarrier();
    if (step + 1u < end_step) {
      let tap = first_tap + (step + 1u) / tap_steps;
      let at = ((step + 1u) % tap_steps) * 2u + load_group;
      let space = tap % (params.taps_h * params.taps_w);
      let t = frame_of(frame, tap / (params.taps_h * params.taps_w));
      let offset = vec2i(i32(space % params.taps_w), i32(space / params.taps_w));
      x0 = input_or_zero(t, corner0 + offset, at);
      w0 = weight_or_zero(channel0 + tap, at);
    }
    {
      let b0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&tile_w, (block_column + 0u) * 5u + 0u, 5u);
      let b1 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&tile_w, (block_column + 8u) * 5u + 0u, 5u);
      let b2 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&tile_w, (block_column + 16u) * 5u + 0u, 5u);
      let b3 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&tile_w, (block_column + 24u) * 5u + 0u, 5u);
      let a0 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&tile_x, (block_row + 0u) * 5u + 0u, 5u);
      s0 = subgroupMatrixMultiplyAccumulate(a0, b0, s0);
      s1 = subgroupMatrixMultiplyAccumulate(a0, b1, s1);
      s2 = subgroupMatrixMultiplyAccumulate(a0, b2, s2);
      s3 = subgroupMatrixMultiplyAccumulate(a0, b3, s3);
      let a1 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&tile_x, (block_row + 8u) * 5u + 0u, 5u);
      s4 = subgroupMatrixMultiplyAccumulate(a1, b0, s4);
      s5 = subgroupMatrixMultiplyAccumulate(a1, b1, s5);
      s6 = subgroupMatrixMultiplyAccumulate(a1, b2, s6);
      s7 = subgroupMatrixMultiplyAccumulate(a1, b3, s7);
      let a2 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&tile_x, (block_row + 16u) * 5u + 0u, 5u);
      s8 = subgroupMatrixMultiplyAccumulate(a2, b0, s8);
      s9 = subgroupMatrixMultiplyAccumulate(a2, b1, s9);
      s10 = subgroupMatrixMultiplyAccumulate(a2, b2, s10);
      s11 = subgroupMatrixMultiplyAccumulate(a2, b3, s11);
      let a3 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&tile_x, (block_row + 24u) * 5u + 0u, 5u);
      s12 = subgroupMatrixMultiplyAccumulate(a3, b0, s12);
      s13 = subgroupMatrixMultiplyAccumulate(a3, b1, s13);
      s14 = subgroupMatrixMultiplyAccumulate(a3, b2, s14);
      s15 = subgroupMatrixMultiplyAccumulate(a3, b3, s15);
    }
    {
      let b0 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&tile_w, (block_column + 0u) * 5u + 2u, 5u);
      let b1 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&tile_w, (block_column + 8u) * 5u + 2u, 5u);
      let b2 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&tile_w, (block_column + 16u) * 5u + 2u, 5u);
      let b3 = subgroupMatrixLoad<subgroup_matrix_right<f32, 8, 8>, col_major>(&tile_w, (block_column + 24u) * 5u + 2u, 5u);
      let a0 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&tile_x, (block_row + 0u) * 5u + 2u, 5u);
      s0 = subgroupMatrixMultiplyAccumulate(a0, b0, s0);
      s1 = subgroupMatrixMultiplyAccumulate(a0, b1, s1);
      s2 = subgroupMatrixMultiplyAccumulate(a0, b2, s2);
      s3 = subgroupMatrixMultiplyAccumulate(a0, b3, s3);
      let a1 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&tile_x, (block_row + 8u) * 5u + 2u, 5u);
      s4 = subgroupMatrixMultiplyAccumulate(a1, b0, s4);
      s5 = subgroupMatrixMultiplyAccumulate(a1, b1, s5);
      s6 = subgroupMatrixMultiplyAccumulate(a1, b2, s6);
      s7 = subgroupMatrixMultiplyAccumulate(a1, b3, s7);
      let a2 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&tile_x, (block_row + 16u) * 5u + 2u, 5u);
      s8 = subgroupMatrixMultiplyAccumulate(a2, b0, s8);
      s9 = subgroupMatrixMultiplyAccumulate(a2, b1, s9);
      s10 = subgroupMatrixMultiplyAccumulate(a2, b2, s10);
      s11 = subgroupMatrixMultiplyAccumulate(a2, b3, s11);
      let a3 = subgroupMatrixLoad<subgroup_matrix_left<f32, 8, 8>, row_major>(&tile_x, (block_row + 24u) * 5u + 2u, 5u);
      s12 = subgroupMatrixMultiplyAccumulate(a3, b0, s12);
      s13 = subgroupMatrixMultiplyAccumulate(a3, b1, s13);
      s14 = subgroupMatrixMultiplyAccumulate(a3, b2, s14);
      s15 = subgroupMatrixMultiplyAccumulate(a3, b3, s15);
    }
    workgroupBarrier();
  }
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 0u, s0, 6u);
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 2u, s1, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 0u, block_column + 0u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 0u, s2, 6u);
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 2u, s3, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 0u, block_column + 16u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 0u, s4, 6u);
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 2u, s5, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 8u, block_column + 0u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 0u, s6, 6u);
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 2u, s7, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 8u, block_column + 16u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 0u, s8, 6u);
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 2u, s9, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 16u, block_column + 0u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 0u, s10, 6u);
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 2u, s11, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 16u, block_column + 16u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 0u, s12, 6u);
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 2u, s13, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 24u, block_column + 0u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 0u, s14, 6u);
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 48u + 2u, s15, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 24u, block_column + 16u);
  workgroupBarrier();
}
