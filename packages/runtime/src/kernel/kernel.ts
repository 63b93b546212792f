/**
 * A kernel is data: a name, what its shader depends on, its bindings and parameters, and a function that writes
 * the shader. It holds no device and no buffers. Bindings sit in group 0 in the order given; parameters, when
 * there are any, are a uniform struct `params` after them.
 */

export type ParamType = "u32" | "i32" | "f32";
export type ParamTypes = Readonly<Record<string, ParamType>>;

export interface KernelBinding {
  /** Name of the variable in the shader. */
  readonly name: string;
  /** WGSL type of the variable, e.g. `array<vec4f>`. */
  readonly type: string;
  readonly access: "read" | "read_write";
}

export type WgslExtension =
  | "f16"
  | "subgroups"
  | "chromium_experimental_subgroup_matrix"
  | "subgroup_size_control";

export interface Kernel<P extends ParamTypes = ParamTypes> {
  /** Shown in profiles and errors, e.g. `matmul`. */
  readonly name: string;
  /** Everything the shader text depends on, never tensor contents. Name and key identify the pipeline. */
  readonly key: string;
  readonly bindings: readonly KernelBinding[];
  readonly params: P;
  readonly enables?: readonly WgslExtension[];
  /**
   * Every index stays inside of its binding, whatever the tensors hold: by clamps and comparisons with parameters, which
   * tests with guards around all buffers have watched. A device that does not check indices, as the ones made on GPUs, runs
   * no other kernel, so that a definition has to say it.
   */
  readonly inBounds: boolean;
  /** WGSL after the generated header: must declare `@compute fn main`. Called once per device and key. */
  readonly body: () => string;
}

/** Identity with inference: checks a kernel's shape where it is written. */
export function defineKernel<const P extends ParamTypes>(kernel: Kernel<P>): Kernel<P> {
  return kernel;
}

/** The whole shader text: extensions, parameter struct, bindings, body. */
export function kernelSource(kernel: Kernel): string {
  const lines: string[] = [];
  for (const extension of kernel.enables ?? []) lines.push(`enable ${extension};`);
  const params = Object.entries(kernel.params);
  if (params.length > 0) {
    lines.push("struct Params {", ...params.map(([name, type]) => `  ${name}: ${type},`), "}");
  }
  kernel.bindings.forEach((b, i) => {
    lines.push(`@group(0) @binding(${i}) var<storage, ${b.access}> ${b.name}: ${b.type};`);
  });
  if (params.length > 0) {
    lines.push(`@group(0) @binding(${kernel.bindings.length}) var<uniform> params: Params;`);
  }
  return `${lines.join("\n")}\n${kernel.body().trim()}\n`;
}

/** Packs parameter values in declaration order, 4 bytes each, as the uniform struct expects. */
export function packParams(types: ParamTypes, values: Readonly<Record<string, number>>): ArrayBuffer {
  const names = Object.keys(types);
  const buffer = new ArrayBuffer(Math.ceil(names.length / 4) * 16);
  const view = new DataView(buffer);
  names.forEach((name, i) => {
    const value = values[name] ?? 0;
    if (types[name] === "f32") view.setFloat32(i * 4, value, true);
    else if (types[name] === "i32") view.setInt32(i * 4, value, true);
    else view.setUint32(i * 4, value, true);
  });
  return buffer;
}

/** WebGPU's limit on workgroups per dimension, the same on every device. */
export const MAX_WORKGROUPS_PER_DIMENSION = 65_535;

/**
 * Spreads `count` workgroups over x and y. `computeMain` gives the shader its linear index; it must return when that is
 * past the end: the grid may be a little larger than `count`.
 */
export function foldWorkgroups(count: number): [number, number, number] {
  if (count <= MAX_WORKGROUPS_PER_DIMENSION) return [Math.max(count, 1), 1, 1];
  const y = Math.ceil(count / MAX_WORKGROUPS_PER_DIMENSION);
  return [Math.ceil(count / y), y, 1];
}
