/**
 * What the building blocks of all autoencoders are made on. They work on channels-last feature maps `[1, T, H, W, C]`;
 * layers are named by their path in the checkpoint, which is also their key in the caches.
 */
import { conv3d, type Device, type FloatDType, rmsNorm, type Tensor } from "@lvsa/runtime";
import type { Parameters } from "../parameters.js";
import { ConvWeights } from "./conv-weights.js";

/** Takes the parameters over. */
export abstract class AutoencoderLayers {
  readonly device: Device;
  protected readonly parameters: Parameters;
  protected readonly weights: ConvWeights;

  constructor(parameters: Parameters) {
    this.device = parameters.device;
    this.parameters = parameters;
    this.weights = new ConvWeights(parameters);
  }

  /** Brings the weights into the form that convolutions read, and gives the memory of the stored form back. */
  async packWeights(): Promise<void> {
    this.weights.packStored();
    await this.device.releaseMemory();
  }

  /** A convolution without memory (1x1x1). */
  pointConv(name: string, x: Tensor): Tensor {
    return conv3d(this.device, x, this.weights.get(name), {
      bias: this.parameters.get(`${name}.bias`),
      padding: { time: [0, 0], height: [0, 0], width: [0, 0] },
    });
  }

  dispose(): void {
    this.weights[Symbol.dispose]();
    this.parameters.dispose();
  }
}

/** Blocks of an L2 norm over channels, SiLU and a causal convolution, as Wan and HunyuanVideo 1.5 have them. */
export abstract class RmsNormLayers<Context> extends AutoencoderLayers {
  /** Causal convolution behind what the context remembers as `name`. f32. */
  abstract causalConv(name: string, x: Tensor, context: Context, residual?: Tensor): Tensor;

  /** How `causalConv` reads an f32 input of this shape: what makes the input stores it so. */
  protected abstract operandDType(name: string, shape: readonly number[]): FloatDType;

  /** To the channels of a residual block's result, where there is a convolution for that. */
  protected abstract convShortcut(name: string, x: Tensor, context: Context): Tensor;

  /** L2 norm over channels, times sqrt(C), times gamma; then SiLU where asked. */
  norm(name: string, x: Tensor, activation?: "silu", outDtype: FloatDType = "f32"): Tensor {
    const gamma = this.parameters.get(`${name}.gamma`);
    return this.device.scope(() =>
      rmsNorm(this.device, x, {
        weight: gamma.reshape([gamma.size]),
        eps: 1e-12,
        mode: "l2",
        outDtype,
        ...(activation ? { activation } : {}),
      }),
    );
  }

  /** Norm, SiLU and causal convolution. Takes `x` over where it is `owned`. */
  normConv(
    norm: string,
    conv: string,
    x: Tensor,
    context: Context,
    { residual, owned = false }: { readonly residual?: Tensor; readonly owned?: boolean } = {},
  ): Tensor {
    const normed = this.norm(norm, x, "silu", this.operandDType(conv, x.shape));
    // Each feature map goes as soon as the next one stands.
    if (owned) x.dispose();
    const y = this.causalConv(conv, normed, context, residual);
    normed.dispose();
    return y;
  }

  residualBlock(name: string, x: Tensor, context: Context): Tensor {
    return this.device.scope(() => {
      const hasShortcut = this.weights.has(`${name}.conv_shortcut`);
      const shortcut = hasShortcut ? this.convShortcut(`${name}.conv_shortcut`, x, context) : x;
      const inner = this.normConv(`${name}.norm1`, `${name}.conv1`, x, context);
      const options = { residual: shortcut, owned: true };
      return this.normConv(`${name}.norm2`, `${name}.conv2`, inner, context, options);
    });
  }
}
