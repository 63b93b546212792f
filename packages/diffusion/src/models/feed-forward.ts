/** The feed-forward of a transformer block, over slices of tokens so that the wide hidden tensor never exists whole. */
import { type Activation, type Device, type FloatDType, linear, type Tensor } from "@lvsa/runtime";
import type { Parameters } from "./parameters.js";

export interface FeedForwardOptions {
  readonly activation: Activation;
  readonly residual?: Tensor;
  /** `[G, C]`, rows grouped as in `linear`. */
  readonly gate?: Tensor;
  readonly outDtype?: FloatDType;
}

/** Rows per slice: wide enough to fill a GPU, small enough that a 4-6 times wider tensor stays cheap. */
const SLICE_ROWS = 8192;

/**
 * `net.0.proj`, activation, `net.2` (diffusers `FeedForward`), then `residual + gate * result`.
 * @param x `[B, S, C]`. @returns `[B, S, C]`
 */
export function feedForward(
  device: Device,
  x: Tensor,
  parameters: Parameters,
  options: FeedForwardOptions,
): Tensor {
  const width = x.dim(-1);
  const rows = x.size / width;
  const first = parameters.get("net.0.proj.weight");
  const second = parameters.get("net.2.weight");
  const bias = parameters.optional("net.0.proj.bias");
  const bias2 = parameters.optional("net.2.bias");
  const flat = x.reshape([rows, width]);
  const out = device.empty([rows, second.dim(0)], options.outDtype ?? options.residual?.dtype ?? x.dtype);
  const groups = options.gate ? options.gate.dim(0) : 1;
  // A slice holds whole groups of a gate, or part of one.
  const group = rows / groups;
  const isPart = group > SLICE_ROWS;
  const step = isPart ? SLICE_ROWS : Math.floor(SLICE_ROWS / group) * group;
  const residual = options.residual?.reshape([rows, out.dim(1)]);
  for (let start = 0; start < rows; ) {
    const limit = isPart ? (Math.floor(start / group) + 1) * group : rows;
    const end = Math.min(start + step, limit);
    device.scope(() => {
      const hidden = linear(device, flat.rows(start, end), first, {
        ...(bias ? { bias } : {}),
        activation: options.activation,
      });
      const firstGroup = Math.floor(start / group);
      const lastGroup = Math.ceil(end / group);
      linear(device, hidden, second, {
        ...(bias2 ? { bias: bias2 } : {}),
        ...(options.gate ? { gate: options.gate.rows(firstGroup, lastGroup) } : {}),
        ...(residual ? { residual: residual.rows(start, end) } : {}),
        out: out.rows(start, end),
      });
    });
    start = end;
  }
  return out.reshape([...x.shape.slice(0, -1), out.dim(1)]);
}
