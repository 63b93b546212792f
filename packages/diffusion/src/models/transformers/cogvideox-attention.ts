/**
 * Joint attention of CogVideoX: video and text share one set of projections. There is no mask: padded text takes part.
 * Source: diffusers `CogVideoXAttnProcessor2_0`.
 */
import type { AttentionCall, Projected, RotaryTables } from "@lvsa/core";
import { layerNorm, normRotary, type Tensor } from "@lvsa/runtime";
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

  projectRotated(call: AttentionCall): Projected {
    return this.projectText(call, call.hiddenStates, call.rotary);
  }

  protected projectText(call: AttentionCall, x: Tensor, tables?: RotaryTables): Projected {
    return {
      query: this.#normed(call, this.projectHeads(call, x, "to_q"), "norm_q", tables),
      key: this.#normed(call, this.projectHeads(call, x, "to_k"), "norm_k", tables),
      value: this.projectHeads(call, x, "to_v"),
    };
  }

  protected outputLayer(): string {
    return "to_out.0";
  }

  /** Q and K are normalised head by head, with mean and bias, and rotated where tables are given. */
  #normed(call: AttentionCall, x: Tensor, name: string, tables: RotaryTables | undefined): Tensor {
    const p = this.parameters;
    const options = { weight: p.get(`${name}.weight`), bias: p.get(`${name}.bias`), eps: QK_EPS };
    if (tables) {
      normRotary(call.device, x, {
        ...{ ...options, ...tables },
        ...{ kind: "layer", over: "head", style: "interleaved" },
      });
    } else layerNorm(call.device, x, { ...options, inPlace: true });
    return x;
  }
}
