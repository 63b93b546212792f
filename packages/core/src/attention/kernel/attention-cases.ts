/** Seeded inputs for attention tests, uploaded and as numbers. */
import { type Device, decodeFloats, encodeFloats, type FloatDType, type Tensor } from "@lvsa/runtime";
import { seededNormal } from "@lvsa/runtime/testing";
import type { ReferenceAttention } from "./attention.reference.js";

export interface CaseSize {
  readonly batch?: number;
  readonly queries: number;
  readonly keys?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly headDim?: number;
  readonly context?: number;
  readonly dtype?: FloatDType;
  /** Multiplies queries: large logits. */
  readonly gain?: number;
  readonly seed?: number;
}

export interface AttentionCase {
  readonly reference: ReferenceAttention;
  readonly tensors: {
    readonly query: Tensor;
    readonly key: Tensor;
    readonly value: Tensor;
    readonly contextKey?: Tensor;
    readonly contextValue?: Tensor;
  };
  dispose(): void;
}

/** Numbers are rounded to the stored type first, so that the reference sees what the kernel sees. */
export function attentionCase(device: Device, size: CaseSize): AttentionCase {
  const { batch = 1, queries, heads = 1, headDim = 32, dtype = "f32", gain = 1, seed = 1 } = size;
  const keys = size.keys ?? queries;
  const kvHeads = size.kvHeads ?? heads;
  const length = size.context ?? 0;
  const numbers = (count: number, at: number, scale = 1) =>
    decodeFloats(encodeFloats(seededNormal(count, seed * 100 + at, scale), dtype), dtype);
  const query = numbers(batch * queries * heads * headDim, 1, gain);
  const key = numbers(batch * keys * kvHeads * headDim, 2);
  const value = numbers(batch * keys * kvHeads * headDim, 3);
  const contextKey = numbers(batch * length * kvHeads * headDim, 4);
  const contextValue = numbers(batch * length * kvHeads * headDim, 5);
  const upload = (data: Float32Array, tokens: number, h: number) =>
    device.upload(data, [batch, tokens, h, headDim], dtype);
  const tensors = {
    query: upload(query, queries, heads),
    key: upload(key, keys, kvHeads),
    value: upload(value, keys, kvHeads),
    ...(length > 0
      ? {
          contextKey: upload(contextKey, length, kvHeads),
          contextValue: upload(contextValue, length, kvHeads),
        }
      : {}),
  };
  return {
    reference: {
      batch,
      queries,
      keys,
      heads,
      kvHeads,
      headDim,
      query,
      key,
      value,
      ...(length > 0 ? { context: { length, key: contextKey, value: contextValue } } : {}),
    },
    tensors,
    dispose: () => {
      for (const tensor of Object.values(tensors)) tensor.dispose();
    },
  };
}
