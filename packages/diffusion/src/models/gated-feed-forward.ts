/**
 * Norm and feed-forward of a language model's layer, over slices of tokens so that neither the wide hidden tensor
 * nor the normalised one ever exists whole.
 */
import { type Activation, type Device, type FloatDType, linear, rmsNorm, type Tensor } from "@lvsa/runtime";
import type { Parameters } from "./parameters.js";

export interface GatedFeedForwardOptions {
  /** Weight of the RMS norm before it, `[C]`. */
  readonly norm: Tensor;
  readonly eps: number;
  /** Of `gate_proj`, or of `up_proj` where the layer has no gate. */
  readonly activation: Activation;
  /** Storage type of the normalised and the hidden rows. */
  readonly dtype: FloatDType;
}

/** Two hidden tensors of a slice, three times as wide as a token, stay below 400 MB at a width of 4096 in f32. */
const SLICE_ROWS = 4096;

/** `x += down(activation(gate(norm x)) * up(norm x))`, in place on `x` `[B, S, C]` f32. */
export function addGatedFeedForward(
  device: Device,
  x: Tensor,
  parameters: Parameters,
  options: GatedFeedForwardOptions,
): void {
  const width = x.dim(-1);
  const rows = x.size / width;
  const gate = parameters.optional("gate_proj.weight");
  const up = parameters.get("up_proj.weight");
  const down = parameters.get("down_proj.weight");
  device.scope(() => {
    const flat = x.reshape([rows, width]);
    for (let start = 0; start < rows; start += SLICE_ROWS) {
      device.scope(() => {
        const part = flat.rows(start, Math.min(start + SLICE_ROWS, rows));
        const { norm: weight, eps, activation } = options;
        const y = rmsNorm(device, part, { weight, eps, outDtype: options.dtype });
        const hidden = gate
          ? linear(device, y, gate, { activation, multiply: linear(device, y, up) })
          : linear(device, y, up, { activation });
        linear(device, hidden, down, { residual: part, out: part });
      });
    }
  });
}
