/**
 * Frame-sparse attention over a sequence that ranks share, as the Python original has it (`SequenceShard` is what
 * pipelines take, and changes no pattern). Each rank holds an equal run of tokens (frames may be
 * split between ranks), attends to its own tokens inside the window, and to all global frames, which are gathered.
 * Frames around rank boundaries are made global by the pattern (`boundaryGuards`).
 */
import { bytesPerElement, concat, type Device, slice, type Tensor } from "@lvsa/runtime";
import { type FrameSparseAttentionInput, frameSparseAttention } from "../attention/frame-sparse-attention.js";
import type { AttentionOutput } from "../attention/kernel/attention-input.js";
import type { AttentionPattern } from "../pattern/attention-pattern.js";
import type { Collective } from "./collective.js";

/**
 * The keys (or values) of the pattern's global frames from all ranks.
 * @param tensor this rank's tokens, `[B, S / worldSize, Hkv, D]`
 * @returns `[B, globalFrames * patchesPerFrame, Hkv, D]`, the caller's to dispose of; undefined without global frames
 */
export async function gatherGlobalTokens(
  device: Device,
  collective: Collective,
  pattern: AttentionPattern,
  tensor: Tensor,
): Promise<Tensor | undefined> {
  const [batch, , heads, headDim] = tensor.shape as [number, number, number, number];
  const parts = pattern
    .globalContributions()
    .map(({ sourceToken, tokens }) => slice(device, tensor, 1, sourceToken, sourceToken + tokens));
  const own = joined(device, parts);
  const gathered = await collective.allGather(own ? await device.readBytes(own) : new Uint8Array());
  own?.dispose();
  // Ranks hold their tokens in order, so rank after rank is also frame after frame.
  const tensors = gathered
    .filter(({ byteLength }) => byteLength > 0)
    .map((bytes) => {
      const tokens = bytes.byteLength / (batch * heads * headDim * bytesPerElement(tensor.dtype));
      const part = device.empty([batch, tokens, heads, headDim], tensor.dtype);
      device.writeBytes(part, bytes);
      return part;
    });
  return joined(device, tensors);
}

export type ContextParallelInput = Omit<FrameSparseAttentionInput, "globalKey" | "globalValue">;

/**
 * One rank's share of frame-sparse attention: gathers the global frames, then records the attention of
 * `input.query` `[B, S / worldSize, H, D]`. `input.pattern` is the pattern built for `collective.rank`.
 * @throws ShapeError when tensors do not fit the rank's share of the pattern
 */
export async function contextParallelAttention(
  device: Device,
  collective: Collective,
  input: ContextParallelInput,
): Promise<AttentionOutput> {
  const { pattern } = input;
  if (pattern.worldSize === 1) return frameSparseAttention(device, input);
  const globalKey = await gatherGlobalTokens(device, collective, pattern, input.key);
  const globalValue = await gatherGlobalTokens(device, collective, pattern, input.value);
  const output = frameSparseAttention(device, {
    ...input,
    ...(globalKey && globalValue ? { globalKey, globalValue } : {}),
  });
  globalKey?.dispose();
  globalValue?.dispose();
  return output;
}

/** Parts along the token axis as one tensor; takes the parts over. */
function joined(device: Device, parts: readonly Tensor[]): Tensor | undefined {
  if (parts.length <= 1) return parts[0];
  const whole = concat(device, parts, 1);
  for (const part of parts) part.dispose();
  return whole;
}
