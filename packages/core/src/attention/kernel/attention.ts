/**
 * Scaled dot-product attention that walks ranges of keys in place: dense attention is the layout with one range.
 * Grouped queries, causal masks, key masks and T5's relative bias are cases of the same kernel.
 */
import { cast, type Device, productOf, type Tensor } from "@lvsa/runtime";
import { type AttentionVariant, attentionFamily, attentionTile } from "./attention.wgsl.js";
import { type Chunk, chunkJobs } from "./attention-chunks.js";
import { type AttentionShape, LOG2E } from "./attention-common.wgsl.js";
import {
  type AttentionGeometry,
  type AttentionInput,
  type AttentionOutput,
  checkAttentionInput,
  floatDtype,
} from "./attention-input.js";
import { AttentionLayout, maskRanges, type TokenRange } from "./attention-layout.js";
import { type AttentionCall, inBindings } from "./attention-windows.js";
import { padHeads } from "./pad-heads.js";

/** About a quarter of a second at 1 TFLOP/s, the slowest real GPU that is of use here. */
const DISPATCH_FLOPS = 2.5e11;
/** Devices with f16 matrices of 16x16x16 make 20 TFLOP/s or more of it, and dispatches of few workgroups leave them half idle. */
const MATRIX_DISPATCH_FLOPS = 5e12;
/** From this many queries on, rounding keys and values first is cheaper than for every tile of queries. */
const ROUND_FIRST = 256;

/**
 * Records attention. K and V are read where they lie; nothing is gathered. Kernels that multiply in f16 take copies of
 * operands that are stored otherwise. What exceeds the device's binding limit is worked on in parts: windows of queries as
 * they lie; where keys exceed it, groups of heads as copies.
 * @throws ShapeError when shapes do not fit together; DeviceError `BINDING_TOO_LARGE` when the keys of one head exceed it
 */
export function attention(device: Device, input: AttentionInput): AttentionOutput {
  const g = checkAttentionInput(input);
  if (g.headDim % 4 !== 0) return padHeads(device, input, attention);
  const output = input.out ?? device.empty(input.query.shape, input.outDtype ?? g.query);
  const logSumExp = input.returnLogSumExp ? device.empty([g.batch, g.queries, g.heads]) : undefined;
  const shape = {
    headDim: g.headDim,
    query: g.query,
    key: g.key,
    value: g.value,
    output: floatDtype(output, "out"),
    context: g.context,
    causal: input.causal ?? false,
    relativeBias: input.relativeBias !== undefined,
    logSumExp: logSumExp !== undefined,
  };
  const size = { queries: g.queries, keys: g.keys + g.contextKeys };
  const chosen = () => device.choose(attentionFamily, { ...shape, rows: true }, size, input.rule).variant;
  const variant = input.variant ?? chosen();
  const result = { output, ...(logSumExp ? { logSumExp } : {}) };
  const inParts = (whole: AttentionInput, types: Omit<AttentionShape, "rows">) =>
    inBindings(device, { input: whole, geometry: g, result, queryStart: 0 }, (part) =>
      record(device, part, types, variant),
    );
  const halves = variant.kind === "matrix" && productOf(variant).component === "f16";
  if (!halves || g.queries < ROUND_FIRST) inParts(input, shape);
  else {
    device.scope(() => inParts(roundedInput(device, input), { ...shape, ...halfTypes(g) }));
  }
  return result;
}

/** The same input with operands as f16; copies belong to the scope around. */
function roundedInput(device: Device, input: AttentionInput): AttentionInput {
  const half = (t: Tensor) => (t.dtype === "f16" ? t : cast(device, t, "f16"));
  const { contextKey, contextValue } = input;
  return {
    ...input,
    query: half(input.query),
    key: half(input.key),
    value: half(input.value),
    ...(contextKey && contextValue ? { contextKey: half(contextKey), contextValue: half(contextValue) } : {}),
  };
}

function halfTypes({ context }: AttentionGeometry) {
  const half = "f16" as const;
  return { query: half, key: half, value: half, context: context && { key: half, value: half } };
}

function record(
  device: Device,
  { input, geometry: g, result: { output, logSumExp }, queryStart }: AttentionCall,
  shape: Omit<AttentionShape, "rows">,
  variant: AttentionVariant,
): void {
  for (const part of batchParts(input, g)) {
    const own = part.layout ? undefined : layoutOfRanges(device, part.ranges, g.queries);
    const layout = part.layout ?? own;
    const [start, end] = part.ranges[0] ?? [0, 0];
    const shader: AttentionShape = { ...shape, rows: layout !== undefined };
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
    const dispatchFlops =
      input.dispatchFlops ??
      (variant.kind === "matrix" && productOf(variant).m === 16 ? MATRIX_DISPATCH_FLOPS : DISPATCH_FLOPS);
    const chunks: Chunk[] = chunkJobs(flopsOfTile, g.heads * part.batches, dispatchFlops);
    const meanFlops = flopsOfTile.reduce((sum, flops) => sum + flops, 0) / tiles;
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
          queryStart,
          one: 1,
          scale: (input.scale ?? 1 / Math.sqrt(g.headDim)) * LOG2E,
        },
        workgroups: count,
        cost: (count * meanFlops) / dispatchFlops,
      });
    }
    own?.dispose();
  }
}

/** Batch entries that share a pattern: one of a layout, and ranges that every query sees. */
interface BatchPart {
  readonly batch: number;
  readonly batches: number;
  readonly layout: AttentionLayout | undefined;
  readonly ranges: readonly TokenRange[];
}

function batchParts(input: AttentionInput, g: AttentionGeometry): BatchPart[] {
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
