enable subgroups;
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
@compute @workgroup_size(4)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32, @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_id) subgroup: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  let tile = output_tile(workgroup, 16u, 16u);
  if (tile.x >= params.m) { return; }
  let last_row = params.m - 1u;
  let last_column = params.column_end - params.column_start - 1u;
  let row0 = min(tile.x + 0u + lane, last_row);
  let row1 = min(tile.x + 4u + lane, last_row);
  let row2 = min(tile.x + 8u + lane, last_row);
  let row3 = min(tile.x + 12u + lane, last_row);
  let column0 = min(tile.y + 0u + lane, last_column);
  let column1 = min(tile.y + 4u + lane, last_column);
  let column2 = min(tile.y + 8u + lane, last_column);
  let column3 = min(tile.y + 12u + lane, last_column);
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
  let steps = (params.k + 3u) / 4u;
  for (var k4 = 0u; k4 < steps; k4++) {
    let x0 = x_at(row0, k4);
    let x1 = x_at(row1, k4);
    let x2 = x_at(row2, k4);
    let x3 = x_at(row3, k4);
    let w0 = weight_at(column0, k4);
    let w1 = weight_at(column1, k4);
    let w2 = weight_at(column2, k4);
    let w3 = weight_at(column3, k4);
    {
      let b0 = subgroupBroadcast(w0, 0u);
      let b1 = subgroupBroadcast(w0, 1u);
      let b2 = subgroupBroadcast(w0, 2u);
      let b3 = subgroupBroadcast(w0, 3u);
      s0 += vec4f(dot(x0, b0), dot(x0, b1), dot(x0, b2), dot(x0, b3));
      s4 += vec4f(dot(x1, b0), dot(x1, b1), dot(x1, b2), dot(x1, b3));
      s8 += vec4f(dot(x2, b0), dot(x2, b1), dot(x2, b2), dot(x2, b3));
      s12 += vec4f(dot(x3, b0), dot(x3, b1), dot(x3, b2), dot(x3, b3));
    }
    {
      let b0 = subgroupBroadcast(w1, 0u);
      let b1 = subgroupBroadcast(w1, 1u);
      let b2 = subgroupBroadcast(w1, 2u);
      let b3 = subgroupBroadcast(w1, 3u);
      s1 += vec4f(dot(x0, b0), dot(x0, b1), dot(x0, b2), dot(x0, b3));
      s5 += vec4f(dot(x1, b0), dot(x1, b1), dot(x1, b2), dot(x1, b3));
      s9 += vec4f(dot(x2, b0), dot(x2, b1), dot(x2, b2), dot(x2, b3));
      s13 += vec4f(dot(x3, b0), dot(x3, b1), dot(x3, b2), dot(x3, b3));
    }
    {
      let b0 = subgroupBroadcast(w2, 0u);
      let b1 = subgroupBroadcast(w2, 1u);
      let b2 = subgroupBroadcast(w2, 2u);
      let b3 = subgroupBroadcast(w2, 3u);
      s2 += vec4f(dot(x0, b0), dot(x0, b1), dot(x0, b2), dot(x0, b3));
      s6 += vec4f(dot(x1, b0), dot(x1, b1), dot(x1, b2), dot(x1, b3));
      s10 += vec4f(dot(x2, b0), dot(x2, b1), dot(x2, b2), dot(x2, b3));
      s14 += vec4f(dot(x3, b0), dot(x3, b1), dot(x3, b2), dot(x3, b3));
    }
    {
      let b0 = subgroupBroadcast(w3, 0u);
      let b1 = subgroupBroadcast(w3, 1u);
      let b2 = subgroupBroadcast(w3, 2u);
      let b3 = subgroupBroadcast(w3, 3u);
      s3 += vec4f(dot(x0, b0), dot(x0, b1), dot(x0, b2), dot(x0, b3));
      s7 += vec4f(dot(x1, b0), dot(x1, b1), dot(x1, b2), dot(x1, b3));
      s11 += vec4f(dot(x2, b0), dot(x2, b1), dot(x2, b2), dot(x2, b3));
      s15 += vec4f(dot(x3, b0), dot(x3, b1), dot(x3, b2), dot(x3, b3));
    }
  }
  var sums = array<vec4f, 16>(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15);
  let count = select(16u, 0u, params.m == 0u);
  for (var i = 0u; i < count; i++) {
    let row = tile.x + (i / 4u) * 4u + lane;
    let column = params.column_start + tile.y + 4u * (i % 4u);
    if (row < params.m && column < params.column_end) { finish(row, column, sums[i]); }
  }
}
