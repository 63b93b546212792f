/** Shader text for entry points, and for reductions over the threads of a workgroup. */

/** Threads per workgroup of kernels that give every thread its own four elements. */
export const FLAT_WORKGROUP = 256;

/**
 * Entry point. In `body`, `workgroup` is the index of the workgroup in a grid folded by `foldWorkgroups`, which may be
 * past the end, and `thread` the thread's index in it. With `subgroups`, `lane` is its index in its subgroup and
 * `subgroup` the index of the subgroup in the workgroup; `lone` subgroups are a workgroup each, have no index, and their
 * control flow is uniform although no compiler can tell. With `size`, subgroups have so many threads on devices that have
 * several sizes, which takes the extension `subgroup_size_control`.
 */
export function computeMain(
  threads: number,
  body: string,
  subgroups: boolean | "lone" | { readonly size: number } = false,
): string {
  const builtins = [
    "@builtin(workgroup_id) workgroup_id: vec3u",
    "@builtin(num_workgroups) grid: vec3u",
    "@builtin(local_invocation_index) thread: u32",
    ...(subgroups
      ? [
          "@builtin(subgroup_invocation_id) lane: u32",
          ...(subgroups === "lone" ? [] : ["@builtin(subgroup_id) subgroup: u32"]),
        ]
      : []),
  ];
  return /* wgsl */ `
@compute @workgroup_size(${threads})${typeof subgroups === "object" ? ` @subgroup_size(${subgroups.size})` : ""}${subgroups === "lone" ? "\n@diagnostic(off, subgroup_uniformity)" : ""}
fn main(${builtins.join(", ")}) {
  let workgroup = workgroup_id.x + workgroup_id.y * grid.x;
${trimmed(body)}
}`;
}

/** Entry point where threads do not share anything: `i` is the thread's index over all workgroups. */
export function flatMain(body: string, threads = FLAT_WORKGROUP): string {
  return computeMain(threads, `  let i = workgroup * ${threads}u + thread;\n${trimmed(body)}`);
}

export interface Reduction {
  /** `fn <name>(thread, value) -> <type>`, called by all threads of the workgroup together. */
  readonly name: string;
  readonly type: "f32" | "vec2f";
  readonly threads: number;
  /** Neighbouring threads that share a result, a power of two. Default: all of them. */
  readonly lanes?: number;
  readonly join?: (a: string, b: string) => string;
}

/** A sum (or what `join` makes of two values) over the threads that share a result; each of them gets it. */
export function workgroupReduction({ name, type, threads, lanes = threads, join }: Reduction): string {
  const [own, other] = [`${name}_parts[thread]`, `${name}_parts[thread + s]`];
  return /* wgsl */ `
var<workgroup> ${name}_parts: array<${type}, ${threads}>;
fn ${name}(thread: u32, value: ${type}) -> ${type} {
  ${own} = value;
  workgroupBarrier();
  for (var s = ${lanes / 2}u; s > 0u; s >>= 1u) {
    if ((thread & ${lanes - 1}u) < s) { ${own} = ${join ? join(own, other) : `${own} + ${other}`}; }
    workgroupBarrier();
  }
  let result = ${name}_parts[thread & ~${lanes - 1}u];
  workgroupBarrier();
  return result;
}`;
}

/** Without empty lines around it. */
function trimmed(body: string): string {
  return body.replace(/^\s*\n/, "").trimEnd();
}
