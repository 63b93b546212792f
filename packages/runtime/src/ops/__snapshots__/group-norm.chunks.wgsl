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

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup_id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
  let i = workgroup * 64u + thread;
  let index = i;

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
  
  for (var i = 0u; i < count; i += 1u) {
    let position = i / per_position;
    let at = (first + position) * params.channels + g * params.width + (i - position * per_position) * 4u;
    v += load4_x(at >> 2u);
  }
  let mean = dot(v, vec4f(1.0)) / size;
  v = vec4f(0.0);
  
  for (var i = 0u; i < count; i += 1u) {
    let position = i / per_position;
    let at = (first + position) * params.channels + g * params.width + (i - position * per_position) * 4u;
    let d = load4_x(at >> 2u) - mean; v += d * d;
  }
  let squares = dot(v, vec4f(1.0));
  
  chunks[(params.first_chunk + c) * groups + g] = vec2f(mean, squares);
}
