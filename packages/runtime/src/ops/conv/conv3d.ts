/** 2-D and 3-D convolution on channels-last video features, with causal padding and cached frames. */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import type { Activation } from "../../kernel/wgsl.js";
import { bytesPerElement, type FloatDType } from "../../tensor/dtype.js";
import { formatShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { activate, add, cast } from "../elementwise/elementwise.js";
import { floatDType } from "../float-dtype.js";
import { linear } from "../linear/linear.js";
import { outputTile } from "../linear/linear-variant.js";
import { splitRows } from "../row-chunks.js";
import { pad } from "../shape/shape-ops.js";
import { convFamily } from "./conv-family.js";
import {
  type ConvGeometry,
  type ConvPadding,
  type ConvPiece,
  convGeometry,
  planConv,
} from "./conv-geometry.js";
import { type ConvVariant, roundsOperands } from "./conv-variant.js";
import { type ConvWeight, roundUp4 } from "./conv-weight.js";
import type { ConvShaderShape, PadMode } from "./conv3d.wgsl.js";

export interface Conv3dOptions {
  /** `[O]` */
  readonly bias?: Tensor | undefined;
  /** Steps in time, height and width. Default 1. */
  readonly stride?: readonly [number, number, number];
  readonly padding: ConvPadding;
  /** What padding holds: zeros (default) or the nearest frame or pixel. */
  readonly padMode?: { readonly time?: PadMode; readonly space?: PadMode };
  /**
   * `[B, k, H, W, I]`: cached frames right before the first one. They count towards `padding.time[0]`: if they are
   * fewer, padding fills up what is before them; if they are more, all are used.
   */
  readonly history?: Tensor | undefined;
  readonly activation?: Activation | undefined;
  /** Shaped as the result, added after the activation. */
  readonly residual?: Tensor | undefined;
  /** Default: the dtype of x. */
  readonly outDtype?: FloatDType | undefined;
  /** For tests and tuning. */
  readonly tuning?: ConvTuning | undefined;
}

export interface ConvTuning {
  /** This rule of the family `conv3d` instead of the first that fits. */
  readonly rule?: string;
  /** This kernel instead of the rule's. */
  readonly variant?: ConvVariant;
  /** Pretend that bindings are no larger than this many bytes. */
  readonly maxBindingBytes?: number;
}

/** One dispatch takes at most this many multiply-adds: about 0.1 s on a GPU of 4 TFLOP/s. */
const MAX_WORK = 2e11;

/**
 * `y = activation(x * weight + bias) + residual`, summed in f32.
 *
 * x `[B, T, H, W, I]`, result `[B, T', H', W', O]`. A 2-D convolution is one with `[O, I, kh, kw]` weights: frames
 * stay apart. Inputs beyond the device's binding limit are worked on in parts.
 * @throws ShapeError when shapes do not fit together
 */
export function conv3d(device: Device, x: Tensor, weight: ConvWeight, options: Conv3dOptions): Tensor {
  assertShape(x.shape.length === 5, `conv3d: expected [B, T, H, W, I], got ${formatShape(x.shape)}`);
  const [batch, frames, height, width, channels] = x.shape as [number, number, number, number, number];
  assertShape(
    channels === weight.inChannels,
    `conv3d: weight has ${weight.inChannels} input channels, input ${formatShape(x.shape)} has ${channels}`,
    "Load the weights that belong to this model.",
  );
  const { history, bias, residual, stride = [1, 1, 1] } = options;
  assertShape(
    !history ||
      (history.shape.length === 5 &&
        history.dtype === x.dtype &&
        history.shape.every((n, d) => d === 1 || n === x.shape[d])),
    `conv3d: history ${history?.dtype} ${formatShape(history?.shape ?? [])} does not fit ${x.dtype} ${formatShape(x.shape)}`,
  );
  const g = convGeometry(
    [frames, height, width],
    weight.kernel,
    stride,
    options.padding,
    history?.dim(1) ?? 0,
  );
  const shape = [batch, g.outFrames, g.outHeight, g.outWidth, weight.outChannels];
  assertShape(
    !bias || bias.size === weight.outChannels,
    `conv3d: bias ${formatShape(bias?.shape ?? [])} is not [${weight.outChannels}]`,
  );
  assertShape(
    !residual || residual.size === shape.reduce((a, b) => a * b, 1),
    `conv3d: residual ${formatShape(residual?.shape ?? [])} is not ${formatShape(shape)}`,
  );
  return device.scope(() => {
    const widen = (t: Tensor) =>
      channels % 4 === 0 ? t : pad(device, t, 4, 0, roundUp4(channels) - channels);
    return run(device, widen(x), history && widen(history), weight, g, shape, options);
  });
}

/**
 * How `conv3d` reads an input `[B, T, H, W, I]` that is stored as `dtype`: f16 where its kernel multiplies in f16. An input
 * (and a history) that is stored so is rounded once, and not at every call.
 */
export function convOperandDType(
  device: Device,
  shape: readonly number[],
  dtype: FloatDType,
  weight: ConvWeight,
  options: Pick<Conv3dOptions, "stride" | "padding" | "padMode">,
): FloatDType {
  const [, frames, height, width, channels] = shape as [number, number, number, number, number];
  const { stride = [1, 1, 1], padding } = options;
  // Time is of no account to the choice; as many frames before as the kernel looks back on are always allowed.
  const g = convGeometry([frames, height, width], weight.kernel, stride, padding, weight.kernel[0] - 1);
  if (isProduct(weight, g)) return dtype;
  const { variant } = chooseKernel(device, dtype, roundUp4(channels), typed(weight), g, options);
  return roundsOperands(variant) ? "f16" : dtype;
}

/** Frames of this many positions a side are large enough for every kernel. */
const LARGE = 64;

/**
 * How the device multiplies a weight `[O, I, kt, kh, kw]` or `[O, I, kh, kw]` in frames of any but the smallest sizes: f16, or
 * as it is stored. A weight that is kept so is rounded once, and not at every call.
 */
export function convWeightDType(device: Device, weight: Tensor): FloatDType {
  const [outChannels, inChannels] = [weight.dim(0), weight.dim(1)];
  const kernel = [weight.shape.length === 5 ? weight.dim(2) : 1, weight.dim(-2), weight.dim(-1)] as const;
  const dtype = floatDType("convWeightDType", weight);
  const same = (size: number) => [size >> 1, (size - 1) >> 1] as const;
  const padding = { time: [0, 0], height: same(kernel[1]), width: same(kernel[2]) } as const;
  const g = convGeometry([1, LARGE, LARGE], kernel, [1, 1, 1], padding, kernel[0] - 1);
  const { variant } = chooseKernel(
    device,
    "f32",
    roundUp4(inChannels),
    { outChannels, kernel, dtype },
    g,
    {},
  );
  return roundsOperands(variant) ? "f16" : dtype;
}

/** Whether each output position is a product of the weight with one input position. */
function isProduct(weight: ConvWeight, g: ConvGeometry): boolean {
  return (
    weight.packed.dim(1) === 1 &&
    g.stride.every((s) => s === 1) &&
    g.outFrames === g.frames &&
    g.outHeight === g.height &&
    g.outWidth === g.width &&
    g.history === 0
  );
}

const typed = ({ outChannels, kernel, packed }: ConvWeight) => ({
  ...{ outChannels, kernel },
  dtype: floatDType("conv3d", packed),
});

function chooseKernel(
  device: Device,
  dtype: FloatDType,
  channels: number,
  weight: Pick<ConvWeight, "outChannels" | "kernel"> & { readonly dtype: FloatDType },
  g: ConvGeometry,
  options: Pick<Conv3dOptions, "padMode" | "outDtype" | "tuning">,
) {
  const N = weight.outChannels;
  const taps = weight.kernel[0] * weight.kernel[1] * weight.kernel[2];
  const common = {
    x: dtype,
    weight: weight.dtype,
    padTime: options.padMode?.time ?? "zeros",
    padSpace: options.padMode?.space ?? "zeros",
    alignedN: N % 4 === 0,
  } as const;
  const { tuning } = options;
  if (tuning?.variant) return { common, taps, variant: tuning.variant };
  const size = { positions: g.outHeight * g.outWidth, outChannels: N, inChannels: channels, taps };
  const whole = { ...common, history: g.history > 0, out: options.outDtype ?? dtype };
  return { common, taps, variant: device.choose(convFamily, whole, size, tuning?.rule).variant };
}

function run(
  device: Device,
  x: Tensor,
  history: Tensor | undefined,
  weight: ConvWeight,
  g: ConvGeometry,
  shape: readonly number[],
  options: Conv3dOptions,
): Tensor {
  const { bias, residual, activation, tuning = {} } = options;
  const channels = x.dim(-1);
  const outDtype = options.outDtype ?? floatDType("conv3d", x);
  const N = weight.outChannels;
  if (isProduct(weight, g)) {
    const rows = weight.packed.reshape([N, channels]);
    const y = linear(device, x, rows, {
      bias,
      activation,
      residual: residual?.reshape(shape),
      outDtype,
      ...(tuning.maxBindingBytes ? { tuning: { maxBindingBytes: tuning.maxBindingBytes } } : {}),
    });
    rows.dispose();
    return y;
  }

  const { common, taps, variant } = chooseKernel(
    device,
    floatDType("conv3d", x),
    channels,
    typed(weight),
    g,
    {
      ...options,
      outDtype,
    },
  );
  if (roundsOperands(variant) && (common.x !== "f16" || common.weight !== "f16")) {
    // Rounded once, not for every tap that reads them.
    const half = (t: Tensor) => (t.dtype === "f16" ? t : cast(device, t, "f16"));
    const halfWeight = { ...weight, packed: half(weight.packed) };
    const same = { ...options, outDtype, tuning: { ...tuning, variant } };
    return run(device, half(x), history && half(history), halfWeight, g, shape, same);
  }

  const { limits } = device.info;
  const bindingBytes = Math.min(
    tuning.maxBindingBytes ?? Number.POSITIVE_INFINITY,
    limits.maxStorageBufferBindingSize,
  );
  // Rows of a two-byte output with odd channels share words: sum into f32 and narrow afterwards.
  const narrowLater = outDtype !== "f32" && N % 2 === 1;
  const rowBytes = (dtype: FloatDType) => g.outWidth * N * bytesPerElement(dtype);
  const work = g.outHeight * g.outWidth * N * taps * channels;
  const replicateTime = options.padMode?.time === "replicate";
  const plan = (sums: FloatDType) =>
    planConv(
      g,
      {
        inputRowBytes: g.width * channels * bytesPerElement(x.dtype),
        outputRowBytes: Math.max(rowBytes(sums), residual ? rowBytes(floatDType("conv3d", residual)) : 0),
        bindingBytes,
        alignment: limits.minStorageBufferOffsetAlignment,
        frameWork: work,
        maxWork: MAX_WORK,
      },
      replicateTime,
    );
  const direct = plan(narrowLater ? "f32" : outDtype);
  // Sums over several pieces are f32, whatever is stored in the end.
  const sumDtype = direct.whole && !narrowLater ? outDtype : "f32";
  const { pieces } = direct.whole ? direct : plan("f32");
  const y = device.empty(shape, sumDtype);
  const fused = direct.whole;
  // Views of a two-byte residual with odd channels may start inside of a 32-bit word, which nothing can bind.
  const fusedResidual = fused && (N % 2 === 0 || residual?.dtype === "f32");
  const columns = splitRows(
    N,
    [taps * channels * bytesPerElement(weight.packed.dtype)],
    bindingBytes,
    limits.minStorageBufferOffsetAlignment,
    N % 4 === 0 ? 4 : N % 2 === 0 ? 2 : 1,
  );
  for (let b = 0; b < shape[0]!; b++) {
    for (const piece of pieces) {
      const shader: ConvShaderShape = {
        ...common,
        history: piece.withHistory,
        out: sumDtype,
        ...(bias && !piece.accumulate ? { bias: floatDType("conv3d", bias) } : {}),
        ...(activation && fused ? { activation } : {}),
        ...(residual && fusedResidual ? { residual: floatDType("conv3d", residual) } : {}),
        ...(piece.accumulate ? { residual: "in_place" as const } : {}),
      };
      const kernel = convFamily.kernel(shader, variant);
      device.scope(() => {
        const source = piece.fromHistory ? history! : x;
        const input = inputView(source, b, piece);
        const output = outputView(y, b, g, piece);
        for (const column of columns) {
          const tensors = [input];
          if (piece.withHistory) tensors.push(history!.rows(b, b + 1));
          const weightRows = weight.packed.rows(column.start, column.end);
          tensors.push(weightRows);
          if (bias && !piece.accumulate) tensors.push(bias);
          if (residual && fusedResidual) tensors.push(outputView(residual.reshape(shape), b, g, piece));
          tensors.push(output);
          const outFrames = piece.outFrames.end - piece.outFrames.start;
          const m = (piece.outRows.end - piece.outRows.start) * g.outWidth;
          const tile = outputTile(variant);
          device.dispatch({
            kernel,
            tensors,
            params: {
              m,
              out_frames: outFrames,
              out_width: g.outWidth,
              n: N,
              column_start: column.start,
              column_end: column.end,
              steps: channels / 4,
              frames: piece.frames.end - piece.frames.start,
              height: piece.rows.end - piece.rows.start,
              width: g.width,
              history: piece.withHistory ? g.history : 0,
              taps_t: piece.taps,
              taps_h: g.kernel[1],
              taps_w: g.kernel[2],
              taps,
              first_tap: piece.tap * g.kernel[1] * g.kernel[2],
              stride_t: g.stride[0],
              stride_h: g.stride[1],
              stride_w: g.stride[2],
              front: piece.front,
              top: piece.top,
              left: g.left,
            },
            cost:
              (m *
                outFrames *
                (column.end - column.start) *
                piece.taps *
                g.kernel[1] *
                g.kernel[2] *
                channels) /
              MAX_WORK,
            workgroups:
              outFrames * Math.ceil(m / tile.rows) * Math.ceil((column.end - column.start) / tile.columns),
          });
          // Views of pinned tensors are no scope's business.
          weightRows.dispose();
        }
      });
    }
  }
  if (!fused && activation) activate(device, y, activation, { out: y });
  if (residual && !fusedResidual) add(device, y, residual, { out: y });
  return sumDtype === outDtype ? y : cast(device, y, outDtype);
}

/** Frames (or rows of one frame) of batch entry `b` as `[frames, rows, W, I]`. */
function inputView(source: Tensor, b: number, piece: ConvPiece): Tensor {
  const [batch, frames, height, width, channels] = source.shape as [number, number, number, number, number];
  const lines = source.reshape([batch * frames * height, width, channels]);
  const first = (b * frames + piece.frames.start) * height + piece.rows.start;
  const last = (b * frames + piece.frames.end - 1) * height + piece.rows.end;
  return lines.rows(first, last);
}

function outputView(y: Tensor, b: number, g: ConvGeometry, piece: ConvPiece): Tensor {
  const lines = y.reshape([y.size / (g.outWidth * y.dim(-1)), g.outWidth, y.dim(-1)]);
  const at = (frame: number, row: number) => (b * g.outFrames + frame) * g.outHeight + row;
  return lines.rows(
    at(piece.outFrames.start, piece.outRows.start),
    at(piece.outFrames.end - 1, piece.outRows.end),
  );
}
