enable f16;
struct Params {
  m: u32,
  n: u32,
  k: u32,
  column_start: u32,
  column_end: u32,
  first_row: u32,
  gate_rows: u32,
}
@group(0) @binding(0) var<storage, read> x: array<vec2u>;
@group(0) @binding(1) var<storage, read> weight: array<vec2u>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read> gate: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec2u>;
@group(0) @binding(5) var<uniform> params: Params;
fn load4_x(i: u32) -> vec4f { let w = x[i]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn x_at(row: u32, k4: u32) -> vec4f { return load4_x(row * (params.k >> 2u) + k4); }
fn load4_weight(i: u32) -> vec4f { let w = weight[i]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn weight_at(row: u32, k4: u32) -> vec4f { return load4_weight(row * (params.k >> 2u) + k4); }
fn load4_bias(i: u32) -> vec4f { return bias[i]; }
fn load4_gate(i: u32) -> vec4f { return gate[i]; }
fn load4_out(i: u32) -> vec4f { let w = out[i]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn store4_out(i: u32, v: vec4f) { out[i] = vec2u(pack2x16float(v.xy), pack2x16float(v.zw)); }
fn finish(row: u32, column: u32, sum: vec4f) {
  let at = row * params.n + column;
  var v = sum;
  v += load4_bias((column) >> 2u);
  let gate_at = ((row + params.first_row) / params.gate_rows) * params.n + column;
  v *= load4_gate((gate_at) >> 2u);
  v += load4_out((at) >> 2u);
  store4_out(at >> 2u, v);
}

fn output_tile(index: u32, rows: u32, columns: u32) -> vec2u {
  let tiles_m = (params.m + rows - 1u) / rows;
  let tiles_n = (params.column_end - params.column_start + columns - 1u) / columns;
  if (index >= tiles_m * tiles_n) { return vec2u(params.m, 0u); }
  // Bands of 8 tiles of rows, walked column by column: both operands stay in the cache.
  let band = index / (8u * tiles_n);
  let band_rows = min(8u, tiles_m - 8u * band);
  let inside = index % (8u * tiles_n);
  return vec2u((8u * band + inside % band_rows) * rows, (inside / band_rows) * columns);
}
var<workgroup> tile_x: array<vec4<f16>, 256>;
var<workgroup> tile_w: array<vec4<f16>, 256>;

fn fetch(b: u32, tile: vec2u, last: vec2u, k0: u32) -> mat4x4f {
  let k4 = (k0 >> 2u) + b % 4u;
  if (4u * k4 >= params.k) { return mat4x4f(); }
  if (b < 64u) {
    let row = tile.x + 4u * (b / 4u);
    return transpose(mat4x4f(x_at(min(row + 0u, last.x), k4), x_at(min(row + 1u, last.x), k4), x_at(min(row + 2u, last.x), k4), x_at(min(row + 3u, last.x), k4)));
  }
  let row = tile.y + 4u * ((b - 64u) / 4u);
  return transpose(mat4x4f(weight_at(min(row + 0u, last.y), k4), weight_at(min(row + 1u, last.y), k4), weight_at(min(row + 2u, last.y), k4), weight_at(min(row + 3u, last.y), k4)));
}

fn put(b: u32, block: mat4x4f) {
  let k = 4u * (b % 4u);
  if (b < 64u) {
    let at = k * 16u + b / 4u;
    tile_x[at + 0u] = vec4<f16>(block[0]);
    tile_x[at + 16u] = vec4<f16>(block[1]);
    tile_x[at + 32u] = vec4<f16>(block[2]);
    tile_x[at + 48u] = vec4<f16>(block[3]);
  } else {
    let at = k * 16u + (b - 64u) / 4u;
    tile_w[at + 0u] = vec4<f16>(block[0]);
    tile_w[at + 16u] = vec4<f16>(block[1]);
    tile_w[at + 32u] = vec4<f16>(block[2]);
    tile_w[at + 48u] = vec4<f16>(block[3]);
  }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  let tile = output_tile(workgroup, 64u, 64u);
  if (tile.x >= params.m) { return; }
  let last = vec2u(params.m - 1u, params.column_end - params.column_start - 1u);
  let tx = thread % 8u;
  let ty = thread / 8u;
  var s0 = vec4f(0.0);
  var s1 = vec4f(0.0);
  var s2 = vec4f(0.0);
  var s3 = vec4f(0.0);
  var s4 = vec4f(0.0);
  var s5 = vec4f(0.0);
  var s6 = vec4f(0.0);
  var s7 = vec4f(0.0);
  var s8 = vec4f(0.0);
  var s9 = vec4f(0.0);
  var s10 = vec4f(0.0);
  var s11 = vec4f(0.0);
  var s12 = vec4f(0.0);
  var s13 = vec4f(0.0);
  var s14 = vec4f(0.0);
  var s15 = vec4f(0.0);
  var block0: mat4x4f;
  var block1: mat4x4f;
  let depth = select(16u, 0u, params.m == 0u);

  for (var k0 = 0u; k0 < params.k; k0 += 16u) {
    block0 = fetch(thread + 0u, tile, last, k0);
    block1 = fetch(thread + 64u, tile, last, k0);
    put(thread + 0u, block0);
    put(thread + 64u, block1);
    workgroupBarrier();
    // The next step's values travel while this step's are used.

    for (var k = 0u; k < depth; k++) {
      let a0 = vec4f(tile_x[k * 16u + ty + 0u]);
      let a1 = vec4f(tile_x[k * 16u + ty + 8u]);
      let b0 = vec4f(tile_w[k * 16u + tx + 0u]);
      let b1 = vec4f(tile_w[k * 16u + tx + 8u]);
      s0 += a0[0] * b0;
      s1 += a0[0] * b1;
      s2 += a0[1] * b0;
      s3 += a0[1] * b1;
      s4 += a0[2] * b0;
      s5 += a0[2] * b1;
      s6 += a0[3] * b0;
      s7 += a0[3] * b1;
      s8 += a1[0] * b0;
      s9 += a1[0] * b1;
      s10 += a1[1] * b0;
      s11 += a1[1] * b1;
      s12 += a1[2] * b0;
      s13 += a1[2] * b1;
      s14 += a1[3] * b0;
      s15 += a1[3] * b1;
    }
    workgroupBarrier();
  }
  var sums = array<vec4f, 16>(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15);
  let count = select(16u, 0u, params.m == 0u);
  for (var i = 0u; i < count; i++) {
    let r = i / 2u;
    let row = tile.x + 4u * (ty + (r >> 2u) * 8u) + (r & 3u);
    let column = params.column_start + tile.y + 4u * (tx + (i % 2u) * 8u);
    if (row < params.m && column < params.column_end) { finish(row, column, sums[i]); }
  }
}
