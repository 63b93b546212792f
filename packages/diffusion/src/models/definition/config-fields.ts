/**
 * Building blocks of the configuration schemas. Every number that a model's size or its number of layers follows from
 * has an upper bound: a file from elsewhere must not make a program count to 2^31.
 */
import * as z from "zod";
import type { AttentionShape } from "./video-model.js";

/** Larger than any width, vocabulary or number of frames that was ever published. */
const MAX_SIZE = 2 ** 24;
const MAX_LAYERS = 1000;
const MAX_LEVELS = 32;

/** A size: at least 1. */
export const size = z.number().int().min(1).max(MAX_SIZE);
/** A ratio of halvings. */
export const powerOfTwo = size.refine(
  (ratio) => Number.isInteger(Math.log2(ratio)),
  "expected a power of two",
);
/** A number that may be 0. */
export const count = z.number().int().min(0).max(MAX_SIZE);
/** Layers that run one after another; blocks of a level. */
export const layerCount = z.number().int().min(1).max(MAX_LAYERS);
/** One size for each level of an autoencoder. */
export const sizes = z.array(size).min(1).max(MAX_LEVELS);
export const positive = z.number().positive();
/** A key that is a number or, as Python writes "not set", null. */
export const optionalSize = size.nullable().default(null);

/** A key whose null means the default too. */
export function orDefault<Type extends z.ZodType>(type: Type, fallback: z.output<Type>) {
  return type.nullish().transform((value) => (value ?? fallback) as z.output<Type>);
}

/** Sizes of attention without groups of heads, as diffusers' transformers name them. */
export function attentionSizes(config: {
  readonly num_attention_heads: number;
  readonly attention_head_dim: number;
  readonly num_layers: number;
}): Pick<AttentionShape, "heads" | "kvHeads" | "headDim" | "layers"> {
  const { num_attention_heads: heads, attention_head_dim: headDim, num_layers: layers } = config;
  return { heads, kvHeads: heads, headDim, layers };
}
