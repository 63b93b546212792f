/** Shader text shared by the ops: single elements of bindings that are declared four at a time, and row lookups. */

/** `fn at_<name>(i) -> f32`: element i of a binding that already has `load4_<name>`. For widths that are no multiple of 4. */
export function elementAt(name: string): string {
  return `fn at_${name}(i: u32) -> f32 { return load4_${name}(i >> 2u)[i & 3u]; }`;
}

/** Threads per workgroup of kernels that give every thread its own four elements. */
export const FLAT_WORKGROUP = 256;

/** WGSL: entry point of such a kernel; `i` is the thread's linear index. */
export function flatMain(body: string, workgroupSize = FLAT_WORKGROUP): string {
  return /* wgsl */ `
fn linear_workgroup(id: vec3u, grid: vec3u) -> u32 { return id.x + id.y * grid.x; }
@compute @workgroup_size(${workgroupSize})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = linear_workgroup(group, grid) * ${workgroupSize}u + lane;
${body.trimEnd()}
}`;
}
