struct Params {
  rows: u32,
  channels: u32,
  dim: u32,
  first_row: u32,
  rows_per_token: u32,
  tokens: u32,
  eps: f32,
}
@group(0) @binding(0) var<storage, read> weight: array<vec4f>;
@group(0) @binding(1) var<storage, read> cosines: array<f32>;
@group(0) @binding(2) var<storage, read> sines: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec2u>;
@group(0) @binding(4) var<uniform> params: Params;
fn load4_y(i: u32) -> vec4f { let w = y[i]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn store4_y(i: u32, v: vec4f) { y[i] = vec2u(pack2x16float(v.xy), pack2x16float(v.zw)); }
fn load_cosines(i: u32) -> f32 { return cosines[i]; }
fn load_sines(i: u32) -> f32 { return sines[i]; }
fn load4_weight(i: u32) -> vec4f { return weight[i]; }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  let i = workgroup * 64u + thread;
  let row = i;
  if (row >= params.rows) { return; }

  let width = params.channels >> 2u;
  let base = row * width;
  let rough = 0.0;
  var square = vec4f(0.0);
  for (var j = 0u; j < width; j += 1u) { let d = load4_y(base + j) - rough; square += d * d;  }
  let correction = 0.0;
  let squares = vec2f(dot(square, vec4f(1.0)), dot(vec4f(0.0), vec4f(1.0))).x;
  let scaling = 1.0 / sqrt(squares / f32(params.channels) + params.eps);

  let table = ((params.first_row + row) / params.rows_per_token) % params.tokens * (params.dim >> 1u);
  for (var j = 0u; j < width; j += 1u) {
    var a = (load4_y(base + j) - rough - correction) * scaling;
    a *= load4_weight(j);
    let p = table + ((4u * j) % params.dim) / 2u;
    let c = vec2f(load_cosines(p), load_cosines(p + 1u));
    let s = vec2f(load_sines(p), load_sines(p + 1u));
    store4_y(base + j, vec4f(a.x * c.x - a.y * s.x, a.y * c.x + a.x * s.x, a.z * c.y - a.w * s.y, a.w * c.y + a.z * s.y));
  }
}
