/** Shader of rotary position embedding, in place on `[rows, H, D]` where a row is one token. */
import { defineKernel } from "../../kernel/kernel.js";
import { load1, load4, scalarType, store1, store4, vec4Type } from "../../kernel/wgsl.js";
import { flatMain } from "../../kernel/wgsl-threads.js";
import type { FloatDType } from "../../tensor/dtype.js";

/** Which channels form a pair: `interleaved` (2i, 2i + 1) or `half` (i, i + D/2). */
export type RotaryStyle = "interleaved" | "half";

export interface RotarySpec {
  readonly style: RotaryStyle;
  readonly x: FloatDType;
  readonly table: FloatDType;
  /** Four channels at a time; else one thread turns a whole head, two bytes or four at a time. */
  readonly vector: boolean;
}

export const ROTARY_PARAMS = {
  rows: "u32",
  heads: "u32",
  dim: "u32",
  /** Channels that are rotated, from the first. */
  rotated: "u32",
  /** Tokens per batch entry, and index of the first row of this piece. */
  tokens: "u32",
  first_row: "u32",
  start: "u32",
  end: "u32",
} as const;

export function rotaryKernel(spec: RotarySpec) {
  const { style, vector } = spec;
  return defineKernel({
    inBounds: true,
    name: "rotary",
    key: `${style},${spec.x},${spec.table},${vector ? "vector" : "scalar"}`,
    bindings: [
      { name: "cosines", type: scalarType(spec.table), access: "read" },
      { name: "sines", type: scalarType(spec.table), access: "read" },
      { name: "x", type: vector ? vec4Type(spec.x) : scalarType(spec.x), access: "read_write" },
    ],
    params: ROTARY_PARAMS,
    body: () => /* wgsl */ `
${load1("cosines", spec.table)}
${load1("sines", spec.table)}
${vector ? `${load4("x", spec.x)}\n${store4("x", spec.x)}` : `${load1("x", spec.x)}\n${store1("x", spec.x)}`}
${vector ? (style === "interleaved" ? interleaved4() : half4()) : scalar(style)}`,
  });
}

/** Thread index to row, head and the row's place in the tables; returns where there is nothing to do. */
function locate(perHead: string): string {
  return /* wgsl */ `
  let per_head = ${perHead};
  let row = i / (per_head * params.heads);
  if (row >= params.rows) { return; }
  let rest = i - row * (per_head * params.heads);
  let head = rest / per_head;
  let k = rest - head * per_head;
  let token = (params.first_row + row) % params.tokens;
  if (token < params.start || token >= params.end) { return; }
  let pairs = params.rotated >> 1u;
  let table = (token - params.start) * pairs;
  let base = (row * params.heads + head) * params.dim;`;
}

function interleaved4(): string {
  return flatMain(/* wgsl */ `${locate("(params.rotated >> 2u)")}
  let at = (base >> 2u) + k;
  let v = load4_x(at);
  let p = table + k * 2u;
  let c = vec2f(load_cosines(p), load_cosines(p + 1u));
  let s = vec2f(load_sines(p), load_sines(p + 1u));
  store4_x(at, vec4f(v.x * c.x - v.y * s.x, v.y * c.x + v.x * s.x, v.z * c.y - v.w * s.y, v.w * c.y + v.z * s.y));`);
}

function half4(): string {
  return flatMain(/* wgsl */ `${locate("(params.rotated >> 3u)")}
  let at = (base >> 2u) + k;
  let other = at + (pairs >> 2u);
  let a = load4_x(at);
  let b = load4_x(other);
  let p = table + k * 4u;
  let c = vec4f(load_cosines(p), load_cosines(p + 1u), load_cosines(p + 2u), load_cosines(p + 3u));
  let s = vec4f(load_sines(p), load_sines(p + 1u), load_sines(p + 2u), load_sines(p + 3u));
  store4_x(at, a * c - b * s);
  store4_x(other, b * c + a * s);`);
}

function scalar(style: RotaryStyle): string {
  return flatMain(/* wgsl */ `${locate("1u")}
  for (var j = 0u; j < pairs; j++) {
    let first = base + ${style === "interleaved" ? "2u * j" : "j"};
    let second = ${style === "interleaved" ? "first + 1u" : "first + pairs"};
    let a = load_x(first);
    let b = load_x(second);
    let c = load_cosines(table + j);
    let s = load_sines(table + j);
    store_x(first, a * c - b * s);
    store_x(second, b * c + a * s);
  }
  _ = k;`);
}
