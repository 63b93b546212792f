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


@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  let i = workgroup * 64u + thread;
  let row = i;
  if (row >= params.rows) { return; }

  let width = params.channels >> 2u;
  let base = row * width;
  var total = vec4f(0.0);
  for (var j = 0u; j < width; j += 1u) { total += load4_x(base + j); }
  let rough = vec2f(dot(total, vec4f(1.0)), dot(vec4f(0.0), vec4f(1.0))).x / f32(params.channels);
  var rest = vec4f(0.0);
  var square = vec4f(0.0);
  for (var j = 0u; j < width; j += 1u) { let d = load4_x(base + j) - rough; square += d * d; rest += d; }
  let both = vec2f(dot(rest, vec4f(1.0)), dot(square, vec4f(1.0)));
  let correction = both.x / f32(params.channels);
  let squares = both.y - correction * both.x;
  let scaling = 1.0 / sqrt(squares / f32(params.channels) + params.eps);

  let table = ((params.first_row + row) / params.rows_per_group) * width;
  for (var j = 0u; j < width; j += 1u) {
    var v = (load4_x(base + j) - rough - correction) * scaling;
    v *= 1.0 + load4_scale(table + j);
    v += load4_shift(table + j);
    
    store4_y(base + j, v);
  }
}
