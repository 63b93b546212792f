/**
 * The element types of GGUF files. Numbers and sizes: https://github.com/ggml-org/ggml, `include/ggml.h` and
 * `src/ggml-common.h`.
 */
import type { SafetensorsDType } from "../safetensors-dtype.js";
import * as decode from "./decode-blocks.js";
import * as few from "./decode-few-bits.js";

/** Types of which several numbers share a scale and that are read here, by ggml's names. */
export type GgmlQuantization =
  | ("Q8_0" | "Q4_0" | "Q4_1" | "Q5_0" | "Q5_1" | "Q4_K" | "Q5_K" | "Q6_K")
  | ("Q2_K" | "Q3_K" | "IQ4_NL" | "IQ4_XS");

/** Numbers that lie in the file as they are, and the type of the same bytes in safetensors. */
export interface PlainGgmlType {
  readonly name: string;
  readonly plain: SafetensorsDType;
}

/** Blocks of numbers along the last axis. */
export interface BlockGgmlType {
  readonly name: GgmlQuantization;
  /** Numbers in a block; the last axis is a multiple of it. */
  readonly elements: number;
  /** Bytes of a block. */
  readonly bytes: number;
  /**
   * Whole blocks to numbers, each rounded as 32-bit arithmetic without fused products does it.
   * @param out takes `elements` numbers for every block in `blocks`
   */
  readonly decode: (blocks: Uint8Array, out: Float32Array) => void;
}

export type GgmlType = PlainGgmlType | BlockGgmlType;

export function isBlockType(type: GgmlType): type is BlockGgmlType {
  return "decode" in type;
}

const TYPES: ReadonlyMap<number, GgmlType> = new Map<number, GgmlType>([
  [0, { name: "F32", plain: "F32" }],
  [1, { name: "F16", plain: "F16" }],
  [2, { name: "Q4_0", elements: 32, bytes: 18, decode: decode.decodeQ4_0 }],
  [3, { name: "Q4_1", elements: 32, bytes: 20, decode: decode.decodeQ4_1 }],
  [6, { name: "Q5_0", elements: 32, bytes: 22, decode: decode.decodeQ5_0 }],
  [7, { name: "Q5_1", elements: 32, bytes: 24, decode: decode.decodeQ5_1 }],
  [8, { name: "Q8_0", elements: 32, bytes: 34, decode: decode.decodeQ8_0 }],
  [10, { name: "Q2_K", elements: 256, bytes: 84, decode: few.decodeQ2_K }],
  [11, { name: "Q3_K", elements: 256, bytes: 110, decode: few.decodeQ3_K }],
  [12, { name: "Q4_K", elements: 256, bytes: 144, decode: decode.decodeQ4_K }],
  [13, { name: "Q5_K", elements: 256, bytes: 176, decode: decode.decodeQ5_K }],
  [14, { name: "Q6_K", elements: 256, bytes: 210, decode: decode.decodeQ6_K }],
  [20, { name: "IQ4_NL", elements: 32, bytes: 18, decode: few.decodeIQ4_NL }],
  [23, { name: "IQ4_XS", elements: 256, bytes: 136, decode: few.decodeIQ4_XS }],
  [24, { name: "I8", plain: "I8" }],
  [25, { name: "I16", plain: "I16" }],
  [26, { name: "I32", plain: "I32" }],
  [27, { name: "I64", plain: "I64" }],
  [28, { name: "F64", plain: "F64" }],
  [30, { name: "BF16", plain: "BF16" }],
]);

/** Types that exist and are not read here. */
const OTHERS: Readonly<Record<number, string>> = {
  ...{ 4: "Q4_2", 5: "Q4_3", 9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS" },
  ...{ 19: "IQ1_S", 21: "IQ3_S", 22: "IQ2_S", 29: "IQ1_M", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8" },
  ...{ 34: "TQ1_0", 35: "TQ2_0", 36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8" },
  ...{ 39: "MXFP4", 40: "NVFP4", 41: "Q1_0", 42: "Q2_0" },
};

export function findGgmlType(id: number): GgmlType | undefined {
  return TYPES.get(id);
}

/** ggml's name of a type that is not read here; undefined where ggml has no such type either. */
export function unreadGgmlType(id: number): string | undefined {
  return OTHERS[id];
}

/** Names of the types that are read, for messages. */
export function ggmlTypeNames(): string[] {
  return [...TYPES.values()].map(({ name }) => name);
}

/** A block type by its name. */
export function blockType(name: GgmlQuantization): BlockGgmlType {
  for (const type of TYPES.values()) if (type.name === name && isBlockType(type)) return type;
  throw new RangeError(`no block type ${name}`);
}
