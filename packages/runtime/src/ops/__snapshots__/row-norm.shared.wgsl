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


var<workgroup> row_sum_parts: array<vec2f, 256>;
fn row_sum(thread: u32, value: vec2f) -> vec2f {
  row_sum_parts[thread] = value;
  workgroupBarrier();
  for (var s = 64u; s > 0u; s >>= 1u) {
    if ((thread & 127u) < s) { row_sum_parts[thread] = row_sum_parts[thread] + row_sum_parts[thread + s]; }
    workgroupBarrier();
  }
  let result = row_sum_parts[thread & ~127u];
  workgroupBarrier();
  return result;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  let lane = thread & 127u;
  let wanted = workgroup * 2u + thread / 128u;
  // Threads past the end compute the last row again, because barriers need all of them, and write nothing.
  let row = min(wanted, params.rows - 1u);

  let width = params.channels >> 2u;
  let base = row * width;
  var total = vec4f(0.0);
  for (var j = lane; j < width; j += 128u) { total += load4_x(base + j); }
  let rough = row_sum(thread, vec2f(dot(total, vec4f(1.0)), dot(vec4f(0.0), vec4f(1.0)))).x / f32(params.channels);
  var rest = vec4f(0.0);
  var square = vec4f(0.0);
  for (var j = lane; j < width; j += 128u) { let d = load4_x(base + j) - rough; square += d * d; rest += d; }
  let both = row_sum(thread, vec2f(dot(rest, vec4f(1.0)), dot(square, vec4f(1.0))));
  let correction = both.x / f32(params.channels);
  let squares = both.y - correction * both.x;
  let scaling = 1.0 / sqrt(squares / f32(params.channels) + params.eps);
  if (wanted >= params.rows) { return; }

  let table = ((params.first_row + row) / params.rows_per_group) * width;
  for (var j = lane; j < width; j += 128u) {
    var v = (load4_x(base + j) - rough - correction) * scaling;
    v *= 1.0 + load4_scale(table + j);
    v += load4_shift(table + j);
    
    store4_y(base + j, v);
  }
}
