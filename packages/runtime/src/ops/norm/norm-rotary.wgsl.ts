/**
 * Shader that normalises rows of queries or keys and rotates them, in place: the walks of a row norm, whose last one turns
 * each pair of channels by its token's angle before it is stored. A row is one head of a token, or all of them.
 */
import { defineKernel, type Kernel } from "../../kernel/kernel.js";
import { load1, load4, scalarType, store4, vec4Type } from "../../kernel/wgsl.js";
import type { FloatDType } from "../../tensor/dtype.js";
import type { RotaryStyle } from "../rotary/rotary.wgsl.js";
import { finish, type RowNormShape, rowMain, variantKey, type WholeRowsVariant } from "./row-norm.wgsl.js";

export interface NormRotaryShape {
  readonly kind: "rms" | "layer";
  readonly style: RotaryStyle;
  readonly x: FloatDType;
  /** Stored types of weight and bias, where there are any, and of the tables. */
  readonly weight?: FloatDType | undefined;
  readonly bias?: FloatDType | undefined;
  readonly table: FloatDType;
}

export const NORM_ROTARY_PARAMS = {
  rows: "u32",
  /** Channels of a row, and of a head, all of which are rotated. */
  channels: "u32",
  dim: "u32",
  first_row: "u32",
  /** Rows of one token, and tokens of one batch entry. */
  rows_per_token: "u32",
  tokens: "u32",
  eps: "f32",
} as const;

export function normRotaryKernel(
  shape: NormRotaryShape,
  v: WholeRowsVariant,
): Kernel<typeof NORM_ROTARY_PARAMS> {
  const { kind, style, x, weight, bias, table } = shape;
  const given = { ...(weight ? { weight } : {}), ...(bias ? { bias } : {}) };
  const norm: RowNormShape = { kind, x, y: x, tables: given, activation: undefined, inPlace: true };
  const names = Object.entries(given) as ["weight" | "bias", FloatDType][];
  return defineKernel({
    inBounds: true,
    name: `${kind}_norm_rotary`,
    key: `${style},${x},${names.map((pair) => pair.join("-")).join("-")},${table},${variantKey(v)}`,
    bindings: [
      ...names.map(([name, dtype]) => ({ name, type: vec4Type(dtype), access: "read" as const })),
      { name: "cosines", type: scalarType(table), access: "read" },
      { name: "sines", type: scalarType(table), access: "read" },
      { name: "y", type: vec4Type(x), access: "read_write" },
    ],
    params: NORM_ROTARY_PARAMS,
    body: () => /* wgsl */ `${load4("y", x)}
${store4("y", x)}
${load1("cosines", table)}
${load1("sines", table)}
${names.map(([name, dtype]) => load4(name, dtype)).join("\n")}
${rowMain(norm, v, (start, stride) => writeRow(norm, style, start, stride))}`,
  });
}

/** Each thread writes only what it alone reads: the sums before it are those of the old values. */
function writeRow(norm: RowNormShape, style: RotaryStyle, start: string, stride: string): string {
  const normed = (
    name: string,
    at: string,
  ) => /* wgsl */ `var ${name} = (load4_y(base + ${at}) - rough - correction) * scaling;
    ${finish(norm, (table) => `load4_${table}(${at})`).replaceAll(/\bv\b/g, name)}`;
  const angles =
    "let table = ((params.first_row + row) / params.rows_per_token) % params.tokens * (params.dim >> 1u);";
  if (style === "interleaved") {
    return /* wgsl */ `
  ${angles}
  for (var j = ${start}; j < width; j += ${stride}) {
    ${normed("a", "j")}
    let p = table + ((4u * j) % params.dim) / 2u;
    let c = vec2f(load_cosines(p), load_cosines(p + 1u));
    let s = vec2f(load_sines(p), load_sines(p + 1u));
    store4_y(base + j, vec4f(a.x * c.x - a.y * s.x, a.y * c.x + a.x * s.x, a.z * c.y - a.w * s.y, a.w * c.y + a.z * s.y));
  }`;
  }
  return /* wgsl */ `
  ${angles}
  // Vectors of half a head; each is turned with its counterpart in the other half.
  let half = params.dim >> 3u;
  for (var i2 = ${start}; i2 < width / 2u; i2 += ${stride}) {
    let j = i2 / half * 2u * half + i2 % half;
    let k = j + half;
    ${normed("a", "j")}
    ${normed("b", "k")}
    let p = table + 4u * (i2 % half);
    let c = vec4f(load_cosines(p), load_cosines(p + 1u), load_cosines(p + 2u), load_cosines(p + 3u));
    let s = vec4f(load_sines(p), load_sines(p + 1u), load_sines(p + 2u), load_sines(p + 3u));
    store4_y(base + j, a * c - b * s);
    store4_y(base + k, b * c + a * s);
  }`;
}
