/**
 * Attention in which every query frame sees the frames of its pattern: one kernel walks them in place, without
 * gathering keys, without a mask, without a second pass to merge.
 */
import { assertShape, concat, type Device, formatShape, type Tensor } from "@lvsa/runtime";
import type { AttentionPattern } from "../pattern/attention-pattern.js";
import { type FramePart, FrameSparseLayout } from "./frame-sparse-layout.js";
import { attention } from "./kernel/attention.js";
import type { AttentionOutput } from "./kernel/attention-input.js";

export interface FrameSparseAttentionInput {
  /** `[B, S, H, D]`, S = frames · patchesPerFrame, or this rank's share of it. */
  readonly query: Tensor;
  /** `[B, S, Hkv, D]`, H a multiple of Hkv. */
  readonly key: Tensor;
  readonly value: Tensor;
  /** Of the whole clip, or of this rank. */
  readonly pattern: AttentionPattern;
  /** With the whole clip's pattern: whose queries and keys these are. Default: all frames'. */
  readonly part?: FramePart;
  /** `[B, Lc, Hkv, D]`: text tokens that every query sees. */
  readonly contextKey?: Tensor;
  readonly contextValue?: Tensor;
  /** On several ranks: the gathered keys and values of the pattern's global frames, `[B, |G|·P, Hkv, D]`. */
  readonly globalKey?: Tensor;
  readonly globalValue?: Tensor;
  /** Default 1/sqrt(D). */
  readonly scale?: number;
  readonly returnLogSumExp?: boolean;
  /** Index buffer to reuse from call to call; default: one for this call. */
  readonly layout?: FrameSparseLayout;
  /** `[B, S, H, D]`; default a new tensor of the query's dtype. */
  readonly out?: Tensor;
}

/**
 * Records frame-sparse attention. Beyond the output it allocates the index buffer only (and, when a rank has
 * both text and global frames, their joined context).
 * @throws ShapeError when tensors do not fit the pattern
 */
export function frameSparseAttention(device: Device, input: FrameSparseAttentionInput): AttentionOutput {
  const { pattern, query, key, part } = input;
  if (part) checkPart(input, part);
  else {
    for (const [name, tensor] of [["query", query] as const, ["key", key] as const]) {
      assertShape(
        tensor.dim(1) === pattern.localTokens,
        `frame-sparse attention: ${name} ${formatShape(tensor.shape)} has ${tensor.dim(1)} tokens, the pattern ` +
          `${pattern.frames} frames of ${pattern.patchesPerFrame}` +
          (pattern.worldSize > 1 ? ` over ${pattern.worldSize} ranks` : "") +
          ` = ${pattern.localTokens}`,
      );
    }
  }
  const context = contextOf(device, input);
  const own = input.layout ? undefined : new FrameSparseLayout(device);
  try {
    return attention(device, {
      query,
      key,
      value: input.value,
      ...context,
      layout: (input.layout ?? own!).use(pattern, part),
      ...(input.scale === undefined ? {} : { scale: input.scale }),
      ...(input.returnLogSumExp ? { returnLogSumExp: true } : {}),
      ...(input.out ? { out: input.out } : {}),
    });
  } finally {
    own?.dispose();
  }
}

function checkPart({ pattern, query, key }: FrameSparseAttentionInput, { queries, keys }: FramePart): void {
  assertShape(
    pattern.worldSize === 1,
    "frame-sparse attention: a part of a clip goes with the pattern of all of it",
  );
  for (const [name, tensor, frames] of [
    ["query", query, queries.end - queries.first] as const,
    ["key", key, keys.length] as const,
  ]) {
    assertShape(
      tensor.dim(1) === frames * pattern.patchesPerFrame,
      `frame-sparse attention: ${name} ${formatShape(tensor.shape)} has ${tensor.dim(1)} tokens; expected ${frames} frames of ${pattern.patchesPerFrame}`,
    );
  }
}

/** What every row sees besides its ranges: gathered global frames, text, or both. */
function contextOf(
  device: Device,
  input: FrameSparseAttentionInput,
): { contextKey: Tensor; contextValue: Tensor } | Record<string, never> {
  const { pattern, globalKey, globalValue, contextKey, contextValue } = input;
  const needsGlobal = pattern.worldSize > 1 && pattern.globalFrames.length > 0;
  const tokens = pattern.globalFrames.length * pattern.patchesPerFrame;
  assertShape(
    !needsGlobal || (globalKey?.dim(1) === tokens && globalValue?.dim(1) === tokens),
    `rank ${pattern.rank} of ${pattern.worldSize} needs the keys and values of ${tokens} global tokens`,
    "Gather them from all ranks and pass them as globalKey and globalValue.",
  );
  const keys = [needsGlobal ? globalKey : undefined, contextKey].filter((t) => t !== undefined);
  const values = [needsGlobal ? globalValue : undefined, contextValue].filter((t) => t !== undefined);
  if (keys.length === 0 || values.length === 0) return {};
  if (keys.length === 1) return { contextKey: keys[0]!, contextValue: values[0]! };
  return { contextKey: concat(device, keys, 1), contextValue: concat(device, values, 1) };
}
