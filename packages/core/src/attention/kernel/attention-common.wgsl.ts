/** What both attention kernels share: typed parameters, bindings, and how a workgroup finds its queries and keys. */
import {
  type FloatDType,
  type KernelBinding,
  load4,
  type MatrixRead,
  matrixOperandType,
  type ParamTypes,
  store4,
  vec4Type,
} from "@lvsa/runtime";
import { ROW_WORDS } from "./attention-layout.js";

/** Everything the shader text depends on. Lengths, heads and ranges are parameters of the dispatch. */
export interface AttentionShape {
  /** Channels of one head, a multiple of 4. */
  readonly headDim: number;
  readonly query: FloatDType;
  readonly key: FloatDType;
  readonly value: FloatDType;
  readonly output: FloatDType;
  /** Further keys that every row sees. */
  readonly context: { readonly key: FloatDType; readonly value: FloatDType } | undefined;
  /** Rows from an index buffer; otherwise one row that sees keys `keyStart` to `keyEnd`. */
  readonly rows: boolean;
  readonly causal: boolean;
  readonly relativeBias: boolean;
  readonly logSumExp: boolean;
}

export const ATTENTION_PARAMS = {
  first: "u32",
  count: "u32",
  tiles: "u32",
  batch: "u32",
  queries: "u32",
  keys: "u32",
  contextKeys: "u32",
  heads: "u32",
  kvHeads: "u32",
  rangesAt: "u32",
  tilesAt: "u32",
  keyStart: "u32",
  keyEnd: "u32",
  queryStart: "u32",
  one: "u32",
  scale: "f32",
} as const satisfies ParamTypes;

/**
 * A loop bound that no compiler sees through: `params.one` is 1. Software adapters unroll every loop of known
 * length, and then take tens of seconds to compile what runs no faster.
 */
export const hidden = (count: number): string => `${count}u * params.one`;

/** Scores are kept in units of log2: exp2 is the cheap exponential. */
export const LOG2E = Math.LOG2E;
/** Start of the running maximum: finite, because the difference of two infinities is no number. */
export const LOWEST = "-1e30";
/** Score of a masked key: far enough below `LOWEST` that its weight is exactly 0. */
export const MASKED = "-3e38";

export function shapeKey(shape: AttentionShape): string {
  const { headDim, query, key, value, output, context } = shape;
  const flags = [
    shape.rows && "rows",
    shape.causal && "causal",
    shape.relativeBias && "bias",
    shape.logSumExp && "lse",
    context && `context:${context.key}:${context.value}`,
  ].filter(Boolean);
  return [`d${headDim}`, query, key, value, output, ...flags].join("-");
}

/** Bindings in the order that `attention.ts` passes tensors. `eights`: operands are read eight values at a time. */
export function attentionBindings(shape: AttentionShape, eights = false): KernelBinding[] {
  const type = eights ? matrixOperandType : vec4Type;
  const read = (name: string, type: string): KernelBinding => ({ name, type, access: "read" });
  const write = (name: string, type: string): KernelBinding => ({ name, type, access: "read_write" });
  return [
    read("query", type(shape.query)),
    read("key", type(shape.key)),
    read("value", type(shape.value)),
    ...(shape.context
      ? [read("context_key", type(shape.context.key)), read("context_value", type(shape.context.value))]
      : []),
    ...(shape.rows ? [read("index", "array<u32>")] : []),
    ...(shape.relativeBias ? [read("bias", "array<f32>")] : []),
    write("result", vec4Type(shape.output)),
    ...(shape.logSumExp ? [write("log_sum_exp", "array<f32>")] : []),
  ];
}

/**
 * Loads and stores by token and vec4 of channels (with `eights`, loads are of eight channels, as it says), and
 * `find_tile`. `Tile.segments` counts the ranges plus, where there is context, one segment for it.
 */
export function attentionPrelude(shape: AttentionShape, tile: number, eights?: MatrixRead): string {
  const { load, one, type: loaded } = eights ?? { load: load4, one: "load4", type: "vec4f" };
  const width = eights ? 8 : 4;
  const dv = shape.headDim / 4;
  const { context } = shape;
  const either = (main: string, other: string) =>
    context ? `if (in_context) { return ${other}; }\n  return ${main};` : `return ${main};`;
  return /* wgsl */ `const DV = ${dv}u;
const TILE = ${tile}u;
const UNITS = ${shape.headDim / width}u;
${load("query", shape.query)}
${load("key", shape.key)}
${load("value", shape.value)}
${context ? `${load("context_key", context.key)}\n${load("context_value", context.value)}` : ""}
${store4("result", shape.output)}

struct Tile { head: u32, kv_head: u32, batch: u32, row: u32, first: u32, end: u32, range: u32, segments: u32, context_end: u32 }
struct Segment { in_context: bool, start: u32, end: u32 }

fn find_tile(linear: u32) -> Tile {
  let job = params.first + linear;
  let tile = job % params.tiles;
  var t: Tile;
  t.head = (job / params.tiles) % params.heads;
  t.kv_head = t.head / (params.heads / params.kvHeads);
  t.batch = params.batch + job / (params.tiles * params.heads);
${
  shape.rows
    ? /* wgsl */ `  t.row = index[params.tilesAt + 2u * tile];
  t.first = index[params.tilesAt + 2u * tile + 1u];
  t.end = index[${ROW_WORDS}u * t.row];
  t.range = index[${ROW_WORDS}u * t.row + 1u];
  t.segments = index[${ROW_WORDS}u * t.row + 2u] - t.range;
  t.context_end = min(index[${ROW_WORDS}u * t.row + 3u], params.contextKeys);`
    : /* wgsl */ `  t.first = tile * TILE;
  t.end = params.queries;
  t.segments = 1u;
  t.context_end = params.contextKeys;`
}
${context ? "  t.segments += select(0u, 1u, t.context_end > 0u);" : ""}
  return t;
}

fn find_segment(t: Tile, i: u32) -> Segment {
  var s: Segment;
${context ? "  if (t.context_end > 0u && i + 1u == t.segments) { return Segment(true, 0u, t.context_end); }" : ""}
${
  shape.rows
    ? /* wgsl */ `  s.start = index[params.rangesAt + 2u * (t.range + i)];
  s.end = index[params.rangesAt + 2u * (t.range + i) + 1u];`
    : /* wgsl */ `  s.start = params.keyStart;
  s.end = params.keyEnd;`
}
${shape.causal ? "  s.end = min(s.end, params.queryStart + min(t.first + TILE, t.end));" : ""}
  return s;
}

fn query${width}(t: Tile, token: u32, d: u32) -> ${loaded} {
  return ${one}_query(((t.batch * params.queries + token) * params.heads + t.head) * UNITS + d);
}
fn kv_at(t: Tile, in_context: bool, token: u32) -> u32 {
  return ((t.batch * ${context ? "select(params.keys, params.contextKeys, in_context)" : "params.keys"} + token) * params.kvHeads + t.kv_head) * UNITS;
}
fn key${width}(in_context: bool, i: u32) -> ${loaded} {
  ${either(`${one}_key(i)`, `${one}_context_key(i)`)}
}
fn value${width}(in_context: bool, i: u32) -> ${loaded} {
  ${either(`${one}_value(i)`, `${one}_context_value(i)`)}
}
fn result4(t: Tile, token: u32, d: u32, v: vec4f) {
  store4_result(((t.batch * params.queries + token) * params.heads + t.head) * DV + d, v);
}
${
  shape.logSumExp
    ? /* wgsl */ `fn store_log_sum_exp(t: Tile, token: u32, m: f32, l: f32) {
  log_sum_exp[(t.batch * params.queries + token) * params.heads + t.head] = select(${LOWEST}, (m + log2(l)) * ${Math.LN2}, l > 0.0);
}`
    : ""
}
${
  shape.causal || shape.relativeBias
    ? /* wgsl */ `fn adjust(t: Tile, in_context: bool, score: f32, token: u32, key_token: u32) -> f32 {
  var s = score;
  if (in_context) { return s; }
${
  shape.relativeBias
    ? `  s += ${LOG2E} * bias[t.head * (params.queries + params.keys - 1u) + min(key_token, params.keys - 1u) + params.queries - 1u - min(token, params.queries - 1u)];`
    : ""
}
${shape.causal ? `  s = select(s, ${MASKED}, key_token > params.queryStart + token);` : ""}
  return s;
}`
    : ""
}`;
}
