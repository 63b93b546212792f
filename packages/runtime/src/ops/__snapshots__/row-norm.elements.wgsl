struct Params {
  rows: u32,
  channels: u32,
  first_row: u32,
  rows_per_group: u32,
  eps: f32,
}
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> scale: array<vec4f>;
@group(0) @binding(2) var<storage, read> shift: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec2u>;
@group(0) @binding(4) var<uniform> params: Params;
fn load4_x(i: u32) -> vec4f { return x[i]; }
fn store4_y(i: u32, v: vec4f) { y[i] = vec2u(pack2x16float(v.xy), pack2x16float(v.zw)); }
fn load4_scale(i: u32) -> vec4f { return scale[i]; }
fn load4_shift(i: u32) -> vec4f { return shift[i]; }


fn at_x(i: u32) -> f32 { return load4_x(i >> 2u)[i & 3u]; }
fn at_scale(i: u32) -> f32 { return load4_scale(i >> 2u)[i & 3u]; }
fn at_shift(i: u32) -> f32 { return load4_shift(i >> 2u)[i & 3u]; }
fn normalised(e: u32) -> f32 {
  let row = e / params.channels;
  let c = e - row * params.channels;
  let base = row * params.channels;
  var rough = 0.0;
  for (var j = 0u; j < params.channels; j++) { rough += at_x(base + j); } rough /= f32(params.channels);
  var squares = 0.0;
  var rest = 0.0;
  for (var j = 0u; j < params.channels; j++) { let d = at_x(base + j) - rough; squares += d * d; rest += d; }
  let correction = rest / f32(params.channels); squares -= correction * rest;
  var v = (at_x(e) - rough - correction) * (1.0 / sqrt(squares / f32(params.channels) + params.eps));
  let table = ((params.first_row + row) / params.rows_per_group) * params.channels + c;
  v *= 1.0 + at_scale(table);
    v += at_shift(table);
  return v;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  let i = workgroup * 64u + thread;
  let count = params.rows * params.channels;
  if (i * 4u >= count) { return; }
  var v = vec4f(0.0);
  for (var k = 0u; k < 4u; k++) { if (i * 4u + k < count) { v[k] = normalised(i * 4u + k); } }
  
  store4_y(i, v);
}
