/**
 * Joint attention of CogVideoX: video and text share one set of projections. There is no mask: padded text takes part.
 * Source: diffusers `CogVideoXAttnProcessor2_0`.
 */
import type { AttentionCall, Projected } from "@lvsa/core";
import { layerNorm, type Tensor } from "@lvsa/runtime";
import type { Parameters } from "../parameters.js";
import { JointAttention } from "./joint-attention.js";
import type { CogVideoXTransformerConfig } from "./transformer-cogvideox-definition.js";

/** Of the LayerNorm on queries and keys, whatever the model's `norm_eps`. */
const QK_EPS = 1e-6;

export class CogVideoXAttention extends JointAttention {
  constructor(name: string, index: number, config: CogVideoXTransformerConfig, parameters: Parameters) {
    super(name, index, config.num_attention_heads, config.attention_head_dim, parameters);
  }

  project(call: AttentionCall): Projected {
    return this.projectText(call, call.hiddenStates);
  }

  protected projectText(call: AttentionCall, x: Tensor): Projected {
    return {
      query: this.#normed(call, this.projectHeads(call, x, "to_q"), "norm_q"),
      key: this.#normed(call, this.projectHeads(call, x, "to_k"), "norm_k"),
      value: this.projectHeads(call, x, "to_v"),
    };
  }

  protected outputLayer(): string {
    return "to_out.0";
  }

  /** Q and K are normalised head by head, with mean and bias. */
  #normed(call: AttentionCall, x: Tensor, name: string): Tensor {
    const p = this.parameters;
    return layerNorm(call.device, x, {
      weight: p.get(`${name}.weight`),
      bias: p.get(`${name}.bias`),
      eps: QK_EPS,
    });
  }
}
