/**
 * Attention over tensors that exceed one storage binding, in pieces that do not: batch entries and windows of queries are
 * views, groups of heads are copies. Pieces do not depend on each other, so nothing has to be merged.
 */
import {
  type Device,
  DeviceError,
  formatShape,
  rowChunks,
  slice,
  type Tensor,
  updateSlice,
} from "@lvsa/runtime";
import type { AttentionGeometry, AttentionInput, AttentionOutput } from "./attention-input.js";

/** One call, or a piece of it that counts its queries and heads from 0. */
export interface AttentionCall {
  readonly input: AttentionInput;
  readonly geometry: AttentionGeometry;
  readonly result: AttentionOutput;
  /** Tokens before the first query: a causal mask counts from there. */
  readonly queryStart: number;
}

/** Copies of a group of heads take at most this part of a binding each, where a head is not larger. */
const GROUP_SHARE = 4;

/**
 * Records the call, or one piece after the other.
 * @throws DeviceError `BINDING_TOO_LARGE` when the keys of a single head exceed a binding
 */
export function inBindings(device: Device, call: AttentionCall, record: (part: AttentionCall) => void): void {
  const { input, geometry: g, result } = call;
  const limit = device.info.limits.maxStorageBufferBindingSize;
  const exceeds = (tensors: readonly (Tensor | undefined)[]) =>
    tensors.some((t) => t !== undefined && t.byteLength > limit);
  const ofQueries = exceeds([input.query, result.output, result.logSumExp]);
  const ofKeys = exceeds([input.key, input.value, input.contextKey, input.contextValue]);
  if (!ofQueries && !ofKeys && !exceeds([input.relativeBias])) record(call);
  else if (g.batch > 1) eachEntry(call, (part) => inBindings(device, part, record));
  else if (ofKeys || exceeds([input.relativeBias])) {
    eachHeadGroup(device, call, ofKeys, (part) => inBindings(device, part, record));
  } else eachQueryWindow(device, call, record);
}

function eachEntry(call: AttentionCall, body: (part: AttentionCall) => void): void {
  const { input, geometry: g, result } = call;
  const { keyMask } = input;
  for (let entry = 0; entry < g.batch; entry++) {
    const views: Tensor[] = [];
    const view = (tensor: Tensor) => {
      views.push(tensor.rows(entry, entry + 1));
      return views.at(-1)!;
    };
    const mask =
      keyMask && keyMask.length > g.keys ? keyMask.subarray(entry * g.keys, (entry + 1) * g.keys) : keyMask;
    body({
      ...call,
      geometry: { ...g, batch: 1 },
      input: { ...mapKeys(input, view), query: view(input.query), ...(mask ? { keyMask: mask } : {}) },
      result: mapResult(result, view),
    });
    for (const tensor of views) tensor.dispose();
  }
}

/** Groups of key heads with their query heads; of query heads where all have the same keys. */
function eachHeadGroup(
  device: Device,
  { input, geometry: g, result, queryStart }: AttentionCall,
  ofKeys: boolean,
  body: (part: AttentionCall) => void,
): void {
  const limit = device.info.limits.maxStorageBufferBindingSize;
  const shared = g.kvHeads === 1;
  const units = shared ? g.heads : g.kvHeads;
  const keyTensors = [input.key, input.value, input.contextKey, input.contextValue].filter(
    (t) => t !== undefined,
  );
  const widest = keyTensors.reduce((a, b) => (b.byteLength > a.byteLength ? b : a));
  if (ofKeys && widest.byteLength / g.kvHeads > limit) {
    throw new DeviceError(
      "BINDING_TOO_LARGE",
      `attention: one head of the keys ${formatShape(widest.shape)} ${widest.dtype} is ${widest.byteLength / g.kvHeads} bytes, the device binds at most ${limit}`,
      { fix: "Use fewer frames or a smaller size, or a device with larger bindings." },
    );
  }
  const split = [input.query, result.output, ...(shared ? [] : keyTensors), input.relativeBias];
  const unitBytes = Math.max(...split.map((t) => (t?.byteLength ?? 0) / units));
  const step = Math.max(1, Math.floor(limit / GROUP_SHARE / unitBytes));
  const headsOf = g.heads / units;
  for (let unit = 0; unit < units; unit += step) {
    const [first, last] = [unit * headsOf, Math.min(unit + step, units) * headsOf];
    device.scope(() => {
      const queriesOf = (x: Tensor) => slice(device, x, 2, first, last);
      const keysOf = (x: Tensor) => (shared ? x : slice(device, x, 2, unit, Math.min(unit + step, units)));
      const heads = last - first;
      const part: AttentionOutput = {
        // Queries outside of every row of a layout keep what they held.
        output: input.layout
          ? queriesOf(result.output)
          : device.empty([1, g.queries, heads, g.headDim], result.output.dtype),
        ...(result.logSumExp ? { logSumExp: device.empty([1, g.queries, heads]) } : {}),
      };
      body({
        queryStart,
        geometry: { ...g, heads, kvHeads: shared ? 1 : heads / headsOf },
        input: {
          ...mapKeys(input, keysOf),
          query: queriesOf(input.query),
          ...(input.relativeBias ? { relativeBias: input.relativeBias.rows(first, last) } : {}),
        },
        result: part,
      });
      updateSlice(device, result.output, 2, first, part.output);
      if (result.logSumExp && part.logSumExp) updateSlice(device, result.logSumExp, 2, first, part.logSumExp);
    });
  }
}

function eachQueryWindow(device: Device, call: AttentionCall, record: (part: AttentionCall) => void): void {
  const { input, geometry: g, result } = call;
  const ofQueries = [input.query, result.output, ...(result.logSumExp ? [result.logSumExp] : [])];
  const rowBytes = ofQueries.map((t) => t.byteLength / g.queries);
  for (const { start, end } of rowChunks(device, g.queries, rowBytes)) {
    const layout = input.layout?.window(start, end);
    // No row, nothing to write.
    if (layout?.rows.length === 0) continue;
    device.scope(() => {
      const rows = (x: Tensor) => {
        const [, , ...rest] = x.shape;
        const flat = x.reshape([g.queries, ...rest]).rows(start, end);
        return flat.reshape([1, end - start, ...rest]);
      };
      const { relativeBias } = input;
      // Row h holds the bias of key k and query q at k - q + queries - 1.
      const biasAt = g.queries - end;
      record({
        queryStart: call.queryStart + start,
        geometry: { ...g, queries: end - start },
        input: {
          ...input,
          query: rows(input.query),
          ...(layout ? { layout } : {}),
          ...(relativeBias
            ? { relativeBias: slice(device, relativeBias, 1, biasAt, biasAt + end - start + g.keys - 1) }
            : {}),
        },
        result: mapResult(result, rows),
      });
    });
  }
}

function mapKeys(input: AttentionInput, change: (x: Tensor) => Tensor): AttentionInput {
  const { contextKey, contextValue } = input;
  return {
    ...input,
    key: change(input.key),
    value: change(input.value),
    ...(contextKey && contextValue
      ? { contextKey: change(contextKey), contextValue: change(contextValue) }
      : {}),
  };
}

function mapResult({ output, logSumExp }: AttentionOutput, change: (x: Tensor) => Tensor): AttentionOutput {
  return { output: change(output), ...(logSumExp ? { logSumExp: change(logSumExp) } : {}) };
}
