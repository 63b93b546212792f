enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
struct Params {
  m: u32,
  n: u32,
  k: u32,
  column_start: u32,
  column_end: u32,
  first_row: u32,
  gate_rows: u32,
}
@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read> weight: array<vec4u>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read> gate: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec2u>;
@group(0) @binding(5) var<uniform> params: Params;
fn halves_x(i: u32) -> vec4u { return x[i]; }
fn halves_weight(i: u32) -> vec4u { return weight[i]; }
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
var<private> tile_row: u32;
var<private> tile_column: u32;
fn finish_sums(row: u32, column: u32, sum: vec4f) {
  let r = tile_row + row;
  let c = params.column_start + tile_column + column;
  if (r < params.m && c < params.column_end) { finish(r, c, sum); }
}


var<workgroup> tile_x: array<vec4<f16>, 1280>;
var<workgroup> tile_w: array<vec4<f16>, 2560>;
var<workgroup> tile_sums: array<vec4f, 768>;

// Neighbouring matrices of a subgroup (so many vectors wide), whose first sum is that of the row and column of the tile.
fn store_sums(subgroup: u32, lane: u32, wide: u32, row: u32, column: u32) {
  for (var i = lane; i < 16u * wide; i += 32u) {
    let r = i / wide;
    let c = i % wide;
    finish_sums(row + r, column + 4u * c, tile_sums[subgroup * 96u + r * 6u + c]);
  }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32, @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_id) subgroup: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  let tile = output_tile(workgroup, 128u, 256u);
  if (tile.x >= params.m) { return; }
  tile_row = tile.x;
  tile_column = tile.y;
  let last = vec2u(params.m - 1u, params.column_end - params.column_start - 1u);
  // Rows by where they begin, in loads.
  let wide = params.k / 8u;
  let row0 = min(tile.x + thread / 4u + 0u, last.x) * wide;
  let row1 = min(tile.x + thread / 4u + 64u, last.x) * wide;
  let column0 = min(tile.y + thread / 4u + 0u, last.y) * wide;
  let column1 = min(tile.y + thread / 4u + 64u, last.y) * wide;
  let column2 = min(tile.y + thread / 4u + 128u, last.y) * wide;
  let column3 = min(tile.y + thread / 4u + 192u, last.y) * wide;

  let load_group = thread % 4u;
  let load_at = (thread / 4u) * 10u + 2u * load_group;
  let block_row = (subgroup / 4u) * 64u;
  let block_column = (subgroup % 4u) * 64u;
  var s0 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var s1 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var s2 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var s3 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var s4 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var s5 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var s6 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var s7 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var s8 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var s9 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var s10 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var s11 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var s12 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var s13 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var s14 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var s15 = subgroup_matrix_result<f32, 16, 16>(0.0);
  var x0 = vec4u();
  var x1 = vec4u();
  var w0 = vec4u();
  var w1 = vec4u();
  var w2 = vec4u();
  var w3 = vec4u();
  {
  let at = 0u / 8u + load_group;
  x0 = halves_x(row0 + at);
  x1 = halves_x(row1 + at);
  w0 = halves_weight(column0 + at);
  w1 = halves_weight(column1 + at);
  w2 = halves_weight(column2 + at);
  w3 = halves_weight(column3 + at);
}
  for (var k0 = 0u; k0 < params.k; k0 += 32u) {
    tile_x[load_at + 0u] = bitcast<vec4<f16>>(x0.xy);
    tile_x[load_at + 1u] = bitcast<vec4<f16>>(x0.zw);
    tile_x[load_at + 640u] = bitcast<vec4<f16>>(x1.xy);
    tile_x[load_at + 641u] = bitcast<vec4<f16>>(x1.zw);
    tile_w[load_at + 0u] = bitcast<vec4<f16>>(w0.xy);
    tile_w[load_at + 1u] = bitcast<vec4<f16>>(w0.zw);
    tile_w[load_at + 640u] = bitcast<vec4<f16>>(w1.xy);
    tile_w[load_at + 641u] = bitcast<vec4<f16>>(w1.zw);
    tile_w[load_at + 1280u] = bitcast<vec4<f16>>(w2.xy);
    tile_w[load_at + 1281u] = bitcast<vec4<f16>>(w2.zw);
    tile_w[load_at + 1920u] = bitcast<vec4<f16>>(w3.xy);
    tile_w[load_at + 1921u] = bitcast<vec4<f16>>(w3.zw);
    workgroupBarrier();
    if (k0 + 32u < params.k) {
      let at = (k0 + 32u) / 8u + load_group;
      x0 = halves_x(row0 + at);
      x1 = halves_x(row1 + at);
      w0 = halves_weight(column0 + at);
      w1 = halves_weight(column1 + at);
      w2 = halves_weight(column2 + at);
      w3 = halves_weight(column3 + at);
    }
    {
      let b0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&tile_w, (block_column + 0u) * 10u + 0u, 10u);
      let b1 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&tile_w, (block_column + 16u) * 10u + 0u, 10u);
      let b2 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&tile_w, (block_column + 32u) * 10u + 0u, 10u);
      let b3 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&tile_w, (block_column + 48u) * 10u + 0u, 10u);
      let a0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&tile_x, (block_row + 0u) * 10u + 0u, 10u);
      s0 = subgroupMatrixMultiplyAccumulate(a0, b0, s0);
      s1 = subgroupMatrixMultiplyAccumulate(a0, b1, s1);
      s2 = subgroupMatrixMultiplyAccumulate(a0, b2, s2);
      s3 = subgroupMatrixMultiplyAccumulate(a0, b3, s3);
      let a1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&tile_x, (block_row + 16u) * 10u + 0u, 10u);
      s4 = subgroupMatrixMultiplyAccumulate(a1, b0, s4);
      s5 = subgroupMatrixMultiplyAccumulate(a1, b1, s5);
      s6 = subgroupMatrixMultiplyAccumulate(a1, b2, s6);
      s7 = subgroupMatrixMultiplyAccumulate(a1, b3, s7);
      let a2 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&tile_x, (block_row + 32u) * 10u + 0u, 10u);
      s8 = subgroupMatrixMultiplyAccumulate(a2, b0, s8);
      s9 = subgroupMatrixMultiplyAccumulate(a2, b1, s9);
      s10 = subgroupMatrixMultiplyAccumulate(a2, b2, s10);
      s11 = subgroupMatrixMultiplyAccumulate(a2, b3, s11);
      let a3 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&tile_x, (block_row + 48u) * 10u + 0u, 10u);
      s12 = subgroupMatrixMultiplyAccumulate(a3, b0, s12);
      s13 = subgroupMatrixMultiplyAccumulate(a3, b1, s13);
      s14 = subgroupMatrixMultiplyAccumulate(a3, b2, s14);
      s15 = subgroupMatrixMultiplyAccumulate(a3, b3, s15);
    }
    {
      let b0 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&tile_w, (block_column + 0u) * 10u + 4u, 10u);
      let b1 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&tile_w, (block_column + 16u) * 10u + 4u, 10u);
      let b2 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&tile_w, (block_column + 32u) * 10u + 4u, 10u);
      let b3 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&tile_w, (block_column + 48u) * 10u + 4u, 10u);
      let a0 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&tile_x, (block_row + 0u) * 10u + 4u, 10u);
      s0 = subgroupMatrixMultiplyAccumulate(a0, b0, s0);
      s1 = subgroupMatrixMultiplyAccumulate(a0, b1, s1);
      s2 = subgroupMatrixMultiplyAccumulate(a0, b2, s2);
      s3 = subgroupMatrixMultiplyAccumulate(a0, b3, s3);
      let a1 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&tile_x, (block_row + 16u) * 10u + 4u, 10u);
      s4 = subgroupMatrixMultiplyAccumulate(a1, b0, s4);
      s5 = subgroupMatrixMultiplyAccumulate(a1, b1, s5);
      s6 = subgroupMatrixMultiplyAccumulate(a1, b2, s6);
      s7 = subgroupMatrixMultiplyAccumulate(a1, b3, s7);
      let a2 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&tile_x, (block_row + 32u) * 10u + 4u, 10u);
      s8 = subgroupMatrixMultiplyAccumulate(a2, b0, s8);
      s9 = subgroupMatrixMultiplyAccumulate(a2, b1, s9);
      s10 = subgroupMatrixMultiplyAccumulate(a2, b2, s10);
      s11 = subgroupMatrixMultiplyAccumulate(a2, b3, s11);
      let a3 = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&tile_x, (block_row + 48u) * 10u + 4u, 10u);
      s12 = subgroupMatrixMultiplyAccumulate(a3, b0, s12);
      s13 = subgroupMatrixMultiplyAccumulate(a3, b1, s13);
      s14 = subgroupMatrixMultiplyAccumulate(a3, b2, s14);
      s15 = subgroupMatrixMultiplyAccumulate(a3, b3, s15);
    }
    workgroupBarrier();
  }
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s0, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 0u, block_column + 0u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s1, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 0u, block_column + 16u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s2, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 0u, block_column + 32u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s3, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 0u, block_column + 48u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s4, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 16u, block_column + 0u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s5, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 16u, block_column + 16u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s6, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 16u, block_column + 32u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s7, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 16u, block_column + 48u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s8, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 32u, block_column + 0u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s9, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 32u, block_column + 16u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s10, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 32u, block_column + 32u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s11, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 32u, block_column + 48u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s12, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 48u, block_column + 0u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s13, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 48u, block_column + 16u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s14, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 48u, block_column + 32u);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&tile_sums, subgroup * 96u + 0u, s15, 6u);
  workgroupBarrier();
  store_sums(subgroup, lane, 4u, block_row + 48u, block_column + 48u);
  workgroupBarrier();
}
