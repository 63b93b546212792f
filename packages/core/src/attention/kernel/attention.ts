/**
 * Scaled dot-product attention that walks ranges of keys in place: dense attention is the layout with one range.
 * Grouped queries, causal masks, key masks and T5's relative bias are cases of the same kernel.
 */
import {
  assertShape,
  type Device,
  type FloatDType,
  formatShape,
  isFloatDType,
  ShapeError,
  type Tensor,
} from "@lvsa/runtime";
import { attentionFamily, attentionTile } from "./attention.wgsl.js";
import { type Chunk, chunkJobs } from "./attention-chunks.js";
import { type AttentionShape, LOG2E } from "./attention-common.wgsl.js";
import { AttentionLayout, maskRanges, type TokenRange } from "./attention-layout.js";
import { padHeads } from "./pad-heads.js";

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
}

export interface AttentionOutput {
  /** `[B, Lq, H, D]`. A query that sees no key is 0. */
  readonly output: Tensor;
  /** `[B, Lq, H]` f32, natural logarithm of the sum of exp(score); -1e30 where no key is seen. */
  readonly logSumExp?: Tensor;
}

/** About a quarter of a second at 1 TFLOP/s, the slowest real GPU that is of use here. */
const DISPATCH_FLOPS = 2.5e11;

/**
 * Records attention. K and V are read where they lie; nothing is copied or gathered.
 * @throws ShapeError when shapes do not fit together; DeviceError when a tensor is above the binding limit
 */
export function attention(device: Device, input: AttentionInput): AttentionOutput {
  const g = checkInput(input);
  if (g.headDim % 4 !== 0) return padHeads(device, input, attention);
  const output = input.out ?? device.empty(input.query.shape, input.outDtype ?? g.query);
  const logSumExp = input.returnLogSumExp ? device.empty([g.batch, g.queries, g.heads]) : undefined;
  const shape: Omit<AttentionShape, "rows"> = {
    headDim: g.headDim,
    query: g.query,
    key: g.key,
    value: g.value,
    output: floatDtype(output, "out"),
    context: g.context,
    causal: input.causal ?? false,
    relativeBias: input.relativeBias !== undefined,
    logSumExp: input.returnLogSumExp ?? false,
  };
  for (const part of batchParts(input, g)) {
    const own = part.layout ? undefined : layoutOfRanges(device, part.ranges, g.queries);
    const layout = part.layout ?? own;
    const [start, end] = part.ranges[0] ?? [0, 0];
    const shader: AttentionShape = { ...shape, rows: layout !== undefined };
    const size = { queries: g.queries, keys: g.keys + g.contextKeys };
    const { variant } = device.choose(attentionFamily, shader, size, input.rule);
    const kernel = attentionFamily.kernel(shader, variant);
    const tile = attentionTile(shader, variant);
    const table = layout?.tiles(tile);
    const tiles = table?.tileCount ?? Math.ceil(g.queries / tile);
    const keysOfTile = table?.keysOfTile ?? new Uint32Array(tiles).fill(end - start);
    const flopsOfTile = Float64Array.from(
      keysOfTile,
      (keys) => 4 * tile * (keys + g.contextKeys) * g.headDim,
    );
    const { context, index, bias } = {
      context: input.contextKey && input.contextValue ? [input.contextKey, input.contextValue] : [],
      index: table ? [table.index] : [],
      bias: input.relativeBias ? [input.relativeBias] : [],
    };
    const lse = logSumExp ? [logSumExp] : [];
    const chunks: Chunk[] = chunkJobs(
      flopsOfTile,
      g.heads * part.batches,
      input.dispatchFlops ?? DISPATCH_FLOPS,
    );
    for (const { first, count } of chunks) {
      device.dispatch({
        kernel,
        tensors: [input.query, input.key, input.value, ...context, ...index, ...bias, output, ...lse],
        params: {
          first,
          count,
          tiles,
          batch: part.batch,
          queries: g.queries,
          keys: g.keys,
          contextKeys: g.contextKeys,
          heads: g.heads,
          kvHeads: g.kvHeads,
          rangesAt: table?.rangesAt ?? 0,
          tilesAt: table?.tilesAt ?? 0,
          keyStart: start,
          keyEnd: end,
          one: 1,
          scale: (input.scale ?? 1 / Math.sqrt(g.headDim)) * LOG2E,
        },
        workgroups: count,
      });
      // Separate command buffers, so that a long layer does not become one long wait for other users of the GPU.
      if (chunks.length > 1) device.submit();
    }
    own?.dispose();
  }
  return { output, ...(logSumExp ? { logSumExp } : {}) };
}

interface Geometry {
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

/** Batch entries that share a pattern: one of a layout, and ranges that every query sees. */
interface BatchPart {
  readonly batch: number;
  readonly batches: number;
  readonly layout: AttentionLayout | undefined;
  readonly ranges: readonly TokenRange[];
}

function batchParts(input: AttentionInput, g: Geometry): BatchPart[] {
  const { keyMask, layout } = input;
  const all: TokenRange[] = [[0, g.keys]];
  if (!keyMask) return [{ batch: 0, batches: g.batch, layout, ranges: all }];
  if (keyMask.length === g.keys)
    return [{ batch: 0, batches: g.batch, layout: undefined, ranges: maskRanges(keyMask) }];
  return Array.from({ length: g.batch }, (_, batch) => ({
    batch,
    batches: 1,
    layout: undefined,
    ranges: maskRanges(keyMask.subarray(batch * g.keys, (batch + 1) * g.keys)),
  }));
}

/** Nothing or a single range travels in the parameters and needs no layout. */
function layoutOfRanges(
  device: Device,
  ranges: readonly TokenRange[],
  queries: number,
): AttentionLayout | undefined {
  if (ranges.length <= 1) return undefined;
  return AttentionLayout.build(device, [{ queryStart: 0, queryEnd: queries, ranges }]);
}

function floatDtype(tensor: Tensor, name: string): FloatDType {
  if (!isFloatDType(tensor.dtype)) {
    throw new ShapeError("BAD_DTYPE", `attention: ${name} is ${tensor.dtype}; expected f32, f16 or bf16`);
  }
  return tensor.dtype;
}

function checkInput(input: AttentionInput): Geometry {
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
