/**
 * Shaders of group norm over `[positions, C]`. Three steps: mean and squared differences of every group within chunks
 * of positions; their merge into one mean and scale per group; the output. Merging around the common mean keeps large
 * means precise.
 */
import { defineKernel, type Kernel, type KernelBinding } from "../../kernel/kernel.js";
import { type Activation, activationSource, elementAt, load4, store4, vec4Type } from "../../kernel/wgsl.js";
import { vec4Of } from "../../kernel/wgsl-text.js";
import { computeMain, flatMain, workgroupReduction } from "../../kernel/wgsl-threads.js";
import type { FloatDType } from "../../tensor/dtype.js";

export interface GroupChunksShape {
  readonly x: FloatDType;
  /** Channels per group are a multiple of 4. */
  readonly vector: boolean;
}

export interface GroupChunksVariant {
  /** Threads per chunk and group: a whole workgroup (a power of two), or 1 without workgroup memory. */
  readonly lanes: number;
  /** Elements of a chunk and group, about. */
  readonly elements: number;
}

/** Threads per workgroup where a chunk and group is one thread's. */
export const GROUP_CHUNKS_THREADS = 64;

/** Positions per batch entry, batch entries, channels, channels per group, positions per chunk; where results go. */
export const GROUP_CHUNKS_PARAMS = {
  positions: "u32",
  batch: "u32",
  channels: "u32",
  width: "u32",
  chunk: "u32",
  first_chunk: "u32",
} as const;

const sumOf = (threads: number) => workgroupReduction({ name: "sum_of", type: "f32", threads });

/** Writes (mean, sum of squared differences) of chunk c and group g to `chunks[(first_chunk + c) * G + g]`. */
export function groupChunksKernel(
  spec: GroupChunksShape,
  { lanes }: GroupChunksVariant,
): Kernel<typeof GROUP_CHUNKS_PARAMS> {
  const { vector } = spec;
  const [type, zero, total] = vector ? ["vec4f", "vec4f(0.0)", "dot(v, vec4f(1.0))"] : ["f32", "0.0", "v"];
  const load = vector ? "load4_x(at >> 2u)" : "at_x(at)";
  const sum = (value: string) => (lanes === 1 ? value : `sum_of(lane, ${value})`);
  const start = lanes === 1 ? "0u" : "lane";
  const walk = (body: string) => /* wgsl */ `
  for (var i = ${start}; i < count; i += ${lanes}u) {
    let position = i / per_position;
    let at = (first + position) * params.channels + g * params.width + (i - position * per_position) * ${vector ? 4 : 1}u;
    ${body}
  }`;
  const inner = /* wgsl */ `
  let groups = params.channels / params.width;
  let chunk_count = (params.positions + params.chunk - 1u) / params.chunk;
  let c = index / groups;
  let g = index - c * groups;
  let b = c / chunk_count;
  if (b >= params.batch) { return; }
  let skipped = (c - b * chunk_count) * params.chunk;
  let first = b * params.positions + skipped;
  let positions = min(params.chunk, params.positions - skipped);
  let per_position = params.width / ${vector ? 4 : 1}u;
  let count = positions * per_position;
  let size = f32(positions * params.width);
  var v: ${type} = ${zero};
  ${walk(`v += ${load};`)}
  let mean = ${sum(total!)} / size;
  v = ${zero};
  ${walk(`let d = ${load} - mean; v += d * d;`)}
  let squares = ${sum(total!)};
  ${lanes === 1 ? "" : "if (lane != 0u) { return; }"}
  chunks[(params.first_chunk + c) * groups + g] = vec2f(mean, squares);`;
  return defineKernel({
    inBounds: true,
    name: "group_norm_chunks",
    key: `${spec.x},${vector},${lanes}`,
    bindings: [
      { name: "x", type: vec4Type(spec.x), access: "read" },
      { name: "chunks", type: "array<vec2f>", access: "read_write" },
    ],
    params: GROUP_CHUNKS_PARAMS,
    body: () => /* wgsl */ `
${load4("x", spec.x)}
${elementAt("x")}
${
  lanes === 1
    ? flatMain(`  let index = i;\n${inner}`, GROUP_CHUNKS_THREADS)
    : `${sumOf(lanes)}${computeMain(lanes, `  let index = workgroup;\n  let lane = thread;\n${inner}`)}`
}`,
  });
}

const MERGE_LANES = 64;

export const GROUP_MERGE_PARAMS = {
  /** Batch entries times groups. */
  entries: "u32",
  /** Chunks per batch entry, of which each `part` end with a short one; the others hold `size` elements of a group. */
  chunks: "u32",
  part: "u32",
  groups: "u32",
  size: "f32",
  last_size: "f32",
  total: "f32",
  eps: "f32",
} as const;

/** One workgroup per batch entry and group: `stats[b * G + g] = (mean, 1 / sqrt(variance + eps))`. */
export function groupMergeKernel() {
  const walk = (body: string) => /* wgsl */ `
  for (var c = lane; c < params.chunks; c += ${MERGE_LANES}u) {
    let part = chunks[(b * params.chunks + c) * params.groups + g];
    let size = select(params.size, params.last_size, (c + 1u) % params.part == 0u);
    ${body}
  }`;
  return defineKernel({
    inBounds: true,
    name: "group_norm_merge",
    key: "",
    bindings: [
      { name: "chunks", type: "array<vec2f>", access: "read" },
      { name: "stats", type: "array<vec2f>", access: "read_write" },
    ],
    params: GROUP_MERGE_PARAMS,
    body: () => /* wgsl */ `${sumOf(MERGE_LANES)}
${computeMain(
  MERGE_LANES,
  /* wgsl */ `
  let lane = thread;
  // The grid may be larger than the table; barriers need all threads.
  let index = min(workgroup, params.entries - 1u);
  let b = index / params.groups;
  let g = index - b * params.groups;
  var v = 0.0;
  ${walk("v += part.x * (size / params.total);")}
  let mean = sum_of(lane, v);
  v = 0.0;
  ${walk("let d = part.x - mean; v += part.y + size * d * d;")}
  let variance = sum_of(lane, v) / params.total;
  if (lane == 0u && index == workgroup) { stats[index] = vec2f(mean, 1.0 / sqrt(variance + params.eps)); }`,
)}`,
  });
}

export type GroupNormTable = "weight" | "bias" | "scale_map" | "shift_map";
export const GROUP_NORM_TABLES: readonly GroupNormTable[] = ["weight", "bias", "scale_map", "shift_map"];

export interface GroupApplySpec {
  readonly x: FloatDType;
  readonly y: FloatDType;
  readonly tables: { readonly [name in GroupNormTable]?: FloatDType };
  readonly activation?: Activation | undefined;
  /** C is a multiple of 4; `groups`: channels per group are, too. `element`: neither. */
  readonly access: "groups" | "channels" | "element";
}

export const GROUP_APPLY_PARAMS = {
  count: "u32",
  channels: "u32",
  width: "u32",
  /** Elements of a batch entry, and the element that this piece starts at. */
  entry: "u32",
  first: "u32",
} as const;

/** Channels `c` and statistics `s` of a thread's elements. Four in a row have one batch entry where C is a multiple of 4. */
const LOCATE_EACH = /* wgsl */ `
  let e = vec4u(params.first + i * 4u) + vec4u(0u, 1u, 2u, 3u);
  let c = e % params.channels;
  let s = (e / params.entry) * (params.channels / params.width) + c / params.width;`;
const LOCATE_FOUR = /* wgsl */ `
  let e = params.first + i * 4u;
  let c = e % params.channels;
  let stats_base = (e / params.entry) * (params.channels / params.width);`;

/** The output, four elements per thread. */
export function groupApplyKernel(spec: GroupApplySpec) {
  const { access, activation } = spec;
  const used = GROUP_NORM_TABLES.filter((name) => spec.tables[name]);
  const bindings: KernelBinding[] = [
    { name: "x", type: vec4Type(spec.x), access: "read" },
    { name: "stats", type: "array<vec2f>", access: "read" },
    ...used.map((name) => ({ name, type: vec4Type(spec.tables[name]!), access: "read" as const })),
    { name: "y", type: vec4Type(spec.y), access: "read_write" },
  ];
  const perChannel = (name: string) =>
    access === "element" ? vec4Of((k) => `at_${name}(c[${k}])`) : `load4_${name}(c >> 2u)`;
  const stat = (component: "x" | "y"): string => {
    switch (access) {
      case "groups":
        return `vec4f(stats[stats_base + c / params.width].${component})`;
      case "channels":
        return vec4Of((k) => `stats[stats_base + (c + ${k}u) / params.width].${component}`);
      case "element":
        return vec4Of((k) => `stats[s[${k}]].${component}`);
      default:
        return access satisfies never;
    }
  };
  const has = (name: GroupNormTable) => spec.tables[name] !== undefined;
  return defineKernel({
    inBounds: true,
    name: "group_norm",
    key: `${spec.x},${spec.y},${used.map((n) => `${n}-${spec.tables[n]}`).join("-")},${activation ?? ""},${access}`,
    bindings,
    params: GROUP_APPLY_PARAMS,
    body: () => /* wgsl */ `
${load4("x", spec.x)}
${store4("y", spec.y)}
${used.map((name) => `${load4(name, spec.tables[name]!)}\n${elementAt(name)}`).join("\n")}
${activation ? activationSource(activation) : ""}
${flatMain(/* wgsl */ `
  if (i * 4u >= params.count) { return; }
${access === "element" ? LOCATE_EACH : LOCATE_FOUR}
  var v = (load4_x(i) - ${stat("x")}) * ${stat("y")};
  ${has("weight") ? `v *= ${perChannel("weight")};` : ""}
  ${has("bias") ? `v += ${perChannel("bias")};` : ""}
  ${has("scale_map") ? "v *= load4_scale_map(i);" : ""}
  ${has("shift_map") ? "v += load4_shift_map(i);" : ""}
  ${activation ? `v = act_${activation}(v);` : ""}
  store4_y(i, v);`)}`,
  });
}
