struct Params {
  m: u32,
  n: u32,
  k: u32,
  column_start: u32,
  column_end: u32,
  first_row: u32,
  gate_rows: u32,
}
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec2u>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;
fn load4_x(i: u32) -> vec4f { return x[i]; }
fn x_at(row: u32, k4: u32) -> vec4f { return load4_x(row * (params.k >> 2u) + k4); }
fn load4_weight(i: u32) -> vec4f { let w = weight[i]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn weight_at(row: u32, k4: u32) -> vec4f { return load4_weight(row * (params.k >> 2u) + k4); }
fn load4_bias(i: u32) -> vec4f { return bias[i]; }
fn store4_out(i: u32, v: vec4f) { out[i] = v; }
fn act_silu(v: vec4f) -> vec4f { return v / (1.0 + exp(min(-v, vec4f(80.0)))); }
fn finish(row: u32, column: u32, sum: vec4f) {
  let at = row * params.n + column;
  var v = sum;
  v += load4_bias((column) >> 2u);
  v = act_silu(v);
  store4_out(at >> 2u, v);
}

var<workgroup> partial: array<vec4f, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  let column = 4u * workgroup;
  if (column >= params.column_end - params.column_start) { return; }
  var s0 = vec4f(0.0);
  let last_row = params.m - 1u;
  let last_column = params.column_end - params.column_start - 1u;
  let c0 = min(column + 0u, last_column);
  let c1 = min(column + 1u, last_column);
  let c2 = min(column + 2u, last_column);
  let c3 = min(column + 3u, last_column);
  let steps = (params.k + 3u) / 4u;
  for (var k4 = thread; k4 < steps; k4 += 64u) {
    let w0 = weight_at(c0, k4);
    let w1 = weight_at(c1, k4);
    let w2 = weight_at(c2, k4);
    let w3 = weight_at(c3, k4);
    {
      let v = x_at(min(0u, last_row), k4);
      s0 += vec4f(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
    }
  }
  partial[0u + thread] = s0;
  workgroupBarrier();
  var part = vec4f(0.0);
  if (thread < 8u) {
    for (var i = 0u; i < 8u; i++) { part += partial[thread * 8u + i]; }
  }
  workgroupBarrier();
  if (thread < 8u) { partial[(thread / 8u) * 64u + thread % 8u] = part; }
  workgroupBarrier();
  for (var row = thread; row < min(1u, params.m); row += 64u) {
    var sum = vec4f(0.0);
    for (var i = 0u; i < 8u; i++) { sum += partial[row * 64u + i]; }
    finish(row, params.column_start + column, sum);
  }
}
