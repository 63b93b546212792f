/**
 * Guidance as one batch of two: a forward pass makes two predictions of the same latents. Their video streams lie one
 * behind the other, `[2, S, C]`, so that norms and feed-forward layers run once for both, and weights that are streamed
 * come once. Attention runs for each by itself: texts differ in length, and patterns, masks and hooks know one clip.
 */
import type { AttentionResult } from "@lvsa/core";
import { concat, type Device, type Tensor } from "@lvsa/runtime";

/** What a prediction is conditioned on, and what a second one of the same latents is. */
export type WithSecond<Condition> = Condition & { readonly second?: Condition | undefined };

/** In the order of the predictions. */
export function conditionsOf<Condition>(inputs: WithSecond<Condition>): readonly Condition[] {
  return inputs.second === undefined ? [inputs] : [inputs, inputs.second];
}

/** Several `[1, …]` as one `[B, …]`. */
export function joined(device: Device, parts: readonly Tensor[]): Tensor {
  return parts.length === 1 ? parts[0]! : concat(device, parts, 0);
}

/** `[1, …]` to `[count, …]`: every prediction begins with the same rows. */
export function repeated(device: Device, x: Tensor, count: number): Tensor {
  return joined(device, Array<Tensor>(count).fill(x));
}

/** `make` on `[1, …]` of each prediction, joined again. Views and results are of the scope at hand. */
export function eachPrediction(device: Device, x: Tensor, make: (own: Tensor) => Tensor): Tensor {
  const count = x.dim(0);
  if (count === 1) return make(x);
  return joined(
    device,
    Array.from({ length: count }, (_, index) => make(x.rows(index, index + 1))),
  );
}

/** A prediction's part of a layer's streams. */
export interface OwnStreams {
  /** `[1, S, C]` */
  readonly hiddenStates: Tensor;
  readonly residual: Tensor;
  /** Where the sum goes; undefined: into a new tensor. */
  readonly out: Tensor | undefined;
}

/**
 * A layer's attention of each prediction. Returns the video streams together, and each prediction's encoder stream where
 * there is one.
 * @param residual `[B, S, C]` f32, like the result
 */
export function attendEach(
  device: Device,
  hiddenStates: Tensor,
  residual: Tensor,
  attend: (own: OwnStreams, index: number) => AttentionResult,
): { readonly hidden: Tensor; readonly encoders: readonly (Tensor | undefined)[] } {
  const count = hiddenStates.dim(0);
  if (count === 1) {
    const result = attend({ hiddenStates, residual, out: undefined }, 0);
    return { hidden: result.hiddenStates, encoders: [result.encoderHiddenStates] };
  }
  const hidden = device.empty(residual.shape);
  const encoders = Array.from({ length: count }, (_, index) =>
    // Views hold on to what they show: they go before the layer frees it.
    device.scope(() => {
      const rows = (x: Tensor) => x.rows(index, index + 1);
      const out = rows(hidden);
      const own = { hiddenStates: rows(hiddenStates), residual: rows(residual), out };
      const { hiddenStates: sum, encoderHiddenStates } = attend(own, index);
      // A hook may have given a tensor of its own.
      if (sum.buffer !== out.buffer || sum.byteOffset !== out.byteOffset) device.copyBytes(sum, out);
      return encoderHiddenStates;
    }),
  );
  return { hidden, encoders };
}
