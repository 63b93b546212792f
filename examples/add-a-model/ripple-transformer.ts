/** Step 2: the model around the layers. All it does for LVSA is to run every layer through its dispatcher. */
import {
  AttentionDispatcher,
  type AttentionTarget,
  type RotaryTables,
  type StepInfo,
  type VideoGeometry,
} from "@lvsa/core";
import { type Device, layerNorm, type Tensor } from "@lvsa/runtime";
import { RippleAttention, type RippleConfig } from "./ripple-attention.js";

export const RIPPLE_CONFIG: RippleConfig = {
  num_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  attention_head_dim: 16,
  patch_size: [1, 2, 2],
  sample_frames: 33,
};

export class RippleTransformer implements AttentionTarget {
  readonly family = "ripple";
  readonly #layers: readonly RippleAttention[];

  /** Random weights. */
  constructor(
    readonly device: Device,
    readonly config: RippleConfig = RIPPLE_CONFIG,
    // An engine hands its own over, so that plugins see the calls.
    readonly attention: AttentionDispatcher = new AttentionDispatcher(),
  ) {
    const indices = Array.from({ length: config.num_layers }, (_, i) => i);
    this.#layers = indices.map((i) => new RippleAttention(device, i, config));
  }

  attentionModules(): RippleAttention[] {
    return [...this.#layers];
  }

  /** Video tokens `[1, S, C]`, frame by frame, to the same shape; the caller owns the result. */
  forward(tokens: Tensor, geometry: VideoGeometry, step?: StepInfo): Tensor {
    const { device, family } = this;
    return device.scope(() => {
      const rotary = this.rotaryTables(tokens.dim(1));
      let hidden = tokens;
      for (const module of this.#layers) {
        const hiddenStates = layerNorm(device, hidden, { eps: 1e-6 });
        const epilogue = { residual: hidden };
        const call = { device, family, module, hiddenStates, rotary, geometry, epilogue };
        // Geometry and step travel with the call, so that no processor has to guess or count.
        hidden = this.attention.run(step ? { ...call, step } : call).hiddenStates;
      }
      return hidden;
    });
  }

  /** Ripple rotates by the token's index. `[tokens, headDim / 2]`. */
  rotaryTables(tokens: number): RotaryTables {
    const half = this.config.attention_head_dim / 2;
    const angles = Float32Array.from(
      { length: tokens * half },
      (_, i) => Math.floor(i / half) * 10000 ** (-(i % half) / half),
    );
    const table = (f: (angle: number) => number) => this.device.upload(angles.map(f), [tokens, half]);
    return { cos: table(Math.cos), sin: table(Math.sin) };
  }

  dispose(): void {
    for (const layer of this.#layers) layer.dispose();
  }
}
