/** Convolution weights, rearranged once so that each output channel is a row of taps times input channels. */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import type { FloatDType } from "../../tensor/dtype.js";
import { formatShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { cast } from "../elementwise/elementwise.js";
import { floatDType } from "../float-dtype.js";
import { pad } from "../shape/shape-ops.js";
import { stridedCopy } from "../shape/strided-copy.js";

export interface ConvWeight {
  /** `[O, taps, I4]`, pinned. Taps run time, height, width; I4 is I rounded up to a multiple of 4, with zeros. */
  readonly packed: Tensor;
  readonly outChannels: number;
  readonly inChannels: number;
  /** Sizes in time, height and width. */
  readonly kernel: readonly [number, number, number];
  dispose(): void;
}

export interface PackConvWeightOptions {
  /** Store as this type; `convWeightDType` says which the device multiplies. Default: as given. */
  readonly dtype?: FloatDType;
  readonly label?: string;
}

export function roundUp4(n: number): number {
  return Math.ceil(n / 4) * 4;
}

/**
 * Packs a checkpoint's weight `[O, I, kt, kh, kw]`, or `[O, I, kh, kw]` of a 2-D convolution, for `conv3d`. The
 * original may be disposed afterwards; the packed weight lives until its `dispose`.
 * @throws ShapeError when the weight has no such shape
 */
export function packConvWeight(
  device: Device,
  weight: Tensor,
  options: PackConvWeightOptions = {},
): ConvWeight {
  const { shape } = weight;
  assertShape(
    shape.length === 5 || shape.length === 4,
    `packConvWeight: expected [O, I, kt, kh, kw] or [O, I, kh, kw], got ${formatShape(shape)}`,
  );
  const [outChannels, inChannels] = [weight.dim(0), weight.dim(1)];
  const kernel = [shape.length === 5 ? weight.dim(2) : 1, weight.dim(-2), weight.dim(-1)] as const;
  const taps = kernel[0] * kernel[1] * kernel[2];
  const channels = roundUp4(inChannels);
  const dtype = options.dtype ?? floatDType("packConvWeight", weight);
  const label = options.label ?? "conv weight";
  const packed = device.empty([outChannels, taps, channels], dtype, { pinned: true, label });
  device.scope(() => {
    const stored = dtype === weight.dtype ? weight : cast(device, weight, dtype);
    const rows = stored.reshape([outChannels, inChannels, taps]);
    const wide = channels === inChannels ? rows : pad(device, rows, 1, 0, channels - inChannels);
    stridedCopy(device, wide, packed, {
      axes: [
        { size: outChannels, from: channels * taps, to: channels * taps },
        { size: taps, from: 1, to: channels },
        { size: channels, from: taps, to: 1 },
      ],
    });
  });
  return {
    packed,
    outChannels,
    inChannels,
    kernel,
    dispose: () => packed.dispose(),
  };
}
