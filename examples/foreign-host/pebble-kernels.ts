/** Pebble's own shaders. Plain ones: a real engine has faster ones. */

/** q, k, v = x · a weight per channel each. */
export const PROJECT = /* wgsl */ `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> q: array<f32>;
@group(0) @binding(3) var<storage, read_write> k: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;
override channels: u32;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= arrayLength(&x)) { return; }
  let c = i % channels;
  q[i] = x[i] * weights[c];
  k[i] = x[i] * weights[channels + c];
  v[i] = x[i] * weights[2 * channels + c];
}`;

/** Dense attention, one invocation per token and head. */
export const ATTEND = /* wgsl */ `
@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> k: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
override heads: u32;
override head_dim: u32;
fn score(a: u32, b: u32) -> f32 {
  var sum = 0.0;
  for (var d = 0u; d < head_dim; d++) { sum += q[a + d] * k[b + d]; }
  return sum / sqrt(f32(head_dim));
}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let tokens = arrayLength(&q) / (heads * head_dim);
  if (id.x >= tokens * heads) { return; }
  let at = id.x * head_dim;
  let head = (id.x % heads) * head_dim;
  var highest = -1e30;
  for (var t = 0u; t < tokens; t++) { highest = max(highest, score(at, t * heads * head_dim + head)); }
  var total = 0.0;
  for (var d = 0u; d < head_dim; d++) { out[at + d] = 0.0; }
  for (var t = 0u; t < tokens; t++) {
    let key = t * heads * head_dim + head;
    let weight = exp(score(at, key) - highest);
    total += weight;
    for (var d = 0u; d < head_dim; d++) { out[at + d] += weight * v[key + d]; }
  }
  for (var d = 0u; d < head_dim; d++) { out[at + d] /= total; }
}`;

/** x = (x + attention) / 2 */
export const MIX = /* wgsl */ `
@group(0) @binding(0) var<storage, read> attended: array<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&x)) { x[id.x] = 0.5 * (x[id.x] + attended[id.x]); }
}`;
