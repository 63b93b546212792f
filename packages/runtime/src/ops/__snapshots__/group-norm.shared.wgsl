struct Params {
  positions: u32,
  batch: u32,
  channels: u32,
  width: u32,
  chunk: u32,
  first_chunk: u32,
}
@group(0) @binding(0) var<storage, read> x: array<vec2u>;
@group(0) @binding(1) var<storage, read_write> chunks: array<vec2f>;
@group(0) @binding(2) var<uniform> params: Params;
fn load4_x(i: u32) -> vec4f { let w = x[i]; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }
fn at_x(i: u32) -> f32 { return load4_x(i >> 2u)[i & 3u]; }

var<workgroup> sum_of_parts: array<f32, 64>;
fn sum_of(thread: u32, value: f32) -> f32 {
  sum_of_parts[thread] = value;
  workgroupBarrier();
  for (var s = 32u; s > 0u; s >>= 1u) {
    if ((thread & 63u) < s) { sum_of_parts[thread] = sum_of_parts[thread] + sum_of_parts[thread + s]; }
    workgroupBarrier();
  }
  let result = sum_of_parts[thread & ~63u];
  workgroupBarrier();
  return result;
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  let index = workgroup;
  let lane = thread;

  let groups = params.channels / params.width;
  let chunk_count = (params.positions + params.chunk - 1u) / params.chunk;
  let c = index / groups;
  let g = index - c * groups;
  let b = c / chunk_count;
  if (b >= params.batch) { return; }
  let skipped = (c - b * chunk_count) * params.chunk;
  let first = b * params.positions + skipped;
  let positions = min(params.chunk, params.positions - skipped);
  let per_position = params.width / 4u;
  let count = positions * per_position;
  let size = f32(positions * params.width);
  var v: vec4f = vec4f(0.0);
  
  for (var i = lane; i < count; i += 64u) {
    let position = i / per_position;
    let at = (first + position) * params.channels + g * params.width + (i - position * per_position) * 4u;
    v += load4_x(at >> 2u);
  }
  let mean = sum_of(lane, dot(v, vec4f(1.0))) / size;
  v = vec4f(0.0);
  
  for (var i = lane; i < count; i += 64u) {
    let position = i / per_position;
    let at = (first + position) * params.channels + g * params.width + (i - position * per_position) * 4u;
    let d = load4_x(at >> 2u) - mean; v += d * d;
  }
  let squares = sum_of(lane, dot(v, vec4f(1.0)));
  if (lane != 0u) { return; }
  chunks[(params.first_chunk + c) * groups + g] = vec2f(mean, squares);
}
