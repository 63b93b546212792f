/** What attention is asked for, and whether it fits together. */
import {
  assertShape,
  type FloatDType,
  formatShape,
  isFloatDType,
  ShapeError,
  type Tensor,
} from "@lvsa/runtime";
import type { AttentionVariant } from "./attention.wgsl.js";
import type { AttentionShape } from "./attention-common.wgsl.js";
import type { AttentionLayout } from "./attention-layout.js";

export interface AttentionInput {
  /** `[B, Lq, H, D]`, D up to 256; best a multiple of 4, others are padded. */
  readonly query: Tensor;
  /** `[B, Lk, Hkv, D]`, H a multiple of Hkv. */
  readonly key: Tensor;
  readonly value: Tensor;
  /** `[B, Lc, Hkv, D]`: further keys that every row sees after its ranges. */
  readonly contextKey?: Tensor;
  readonly contextValue?: Tensor;
  /** Which queries see which keys; default: every query sees every key. */
  readonly layout?: AttentionLayout;
  /** Default 1/sqrt(D). */
  readonly scale?: number;
  /** Query i sees keys 0 to i only (self-attention). */
  readonly causal?: boolean;
  /** `[Lk]` or `[B * Lk]`, 1 = attended. Not together with `layout`. */
  readonly keyMask?: Uint8Array;
  /** `[H, Lq + Lk - 1]` f32: `bias[h][k - q + Lq - 1]` is added to the scaled scores (T5). */
  readonly relativeBias?: Tensor;
  /** `[B, Lq, H, D]`; default a new tensor of the query's dtype. */
  readonly out?: Tensor;
  readonly outDtype?: FloatDType;
  readonly returnLogSumExp?: boolean;
  /** Work of one dispatch in floating-point operations, so that no dispatch blocks the GPU for long. */
  readonly dispatchFlops?: number;
  /** For tests and tuning: this rule of the family `attention` instead of the first that fits. */
  readonly rule?: string;
  /** For tests and tuning: this kernel instead of the rule's. */
  readonly variant?: AttentionVariant;
}

export interface AttentionOutput {
  /** `[B, Lq, H, D]`. A query that sees no key is 0. */
  readonly output: Tensor;
  /** `[B, Lq, H]` f32, natural logarithm of the sum of exp(score); -1e30 where no key is seen. */
  readonly logSumExp?: Tensor;
}

/** Sizes and stored types of an input that fits together. */
export interface AttentionGeometry {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly contextKeys: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly query: FloatDType;
  readonly key: FloatDType;
  readonly value: FloatDType;
  readonly context: AttentionShape["context"];
}

/** @throws ShapeError `BAD_DTYPE` for integers */
export function floatDtype(tensor: Tensor, name: string): FloatDType {
  if (!isFloatDType(tensor.dtype)) {
    throw new ShapeError("BAD_DTYPE", `attention: ${name} is ${tensor.dtype}; expected f32, f16 or bf16`);
  }
  return tensor.dtype;
}

/** @throws ShapeError that names the tensor, its shape and the expected one */
export function checkAttentionInput(input: AttentionInput): AttentionGeometry {
  const { query, key, value, contextKey, contextValue, layout, keyMask, relativeBias, out } = input;
  assertShape(
    query.shape.length === 4,
    `attention: query is ${formatShape(query.shape)}; expected [B, Lq, H, D]`,
  );
  const [batch, queries, heads, headDim] = query.shape as [number, number, number, number];
  assertShape(headDim >= 1 && headDim <= 256, `attention: head dimension ${headDim}; expected 1 to 256`);
  const keys = key.shape[1] ?? 0;
  const kvHeads = key.shape[2] ?? 0;
  const want = (name: string, tensor: Tensor, shape: readonly number[]) =>
    assertShape(
      tensor.shape.length === shape.length && tensor.shape.every((n, i) => n === shape[i]),
      `attention: ${name} is ${formatShape(tensor.shape)}; expected ${formatShape(shape)}`,
    );
  want("key", key, [batch, keys, kvHeads, headDim]);
  want("value", value, [batch, keys, kvHeads, headDim]);
  assertShape(
    kvHeads > 0 && heads % kvHeads === 0,
    `attention: ${heads} query heads over ${kvHeads} key heads; expected a multiple`,
  );
  const contextKeys = contextKey?.shape[1] ?? 0;
  assertShape(
    (contextKey === undefined) === (contextValue === undefined),
    "attention: contextKey and contextValue go together, one is missing",
  );
  if (contextKey && contextValue) {
    want("contextKey", contextKey, [batch, contextKeys, kvHeads, headDim]);
    want("contextValue", contextValue, [batch, contextKeys, kvHeads, headDim]);
  }
  if (out) want("out", out, query.shape);
  if (relativeBias) want("relativeBias", relativeBias, [heads, queries + keys - 1]);
  if (layout) {
    const { extent } = layout;
    assertShape(
      extent.queries <= queries && extent.keys <= keys && extent.context <= contextKeys,
      `attention: the layout reaches query ${extent.queries}, key ${extent.keys} and context key ${extent.context}; there are ${queries}, ${keys} and ${contextKeys}`,
      "Build the layout for the same number of frames and patches per frame as the tensors.",
    );
    assertShape(!keyMask, "attention: both a layout and a keyMask were given; put the mask into the layout");
  }
  if (keyMask) {
    assertShape(
      keyMask.length === keys || keyMask.length === batch * keys,
      `attention: keyMask has ${keyMask.length} entries; expected ${keys} or ${batch * keys}`,
    );
  }
  return {
    batch,
    queries,
    keys,
    contextKeys,
    heads,
    kvHeads,
    headDim,
    query: floatDtype(query, "query"),
    key: floatDtype(key, "key"),
    value: floatDtype(value, "value"),
    context:
      contextKey && contextValue
        ? { key: floatDtype(contextKey, "contextKey"), value: floatDtype(contextValue, "contextValue") }
        : undefined,
  };
}
