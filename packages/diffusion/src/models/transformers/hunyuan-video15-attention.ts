/**
 * Joint attention of HunyuanVideo 1.5: each stream has projections of its own. The encoder stream holds valid tokens
 * only, which is what the attention mask of diffusers comes to for the video and for every valid encoder token.
 * Source: diffusers `HunyuanVideo15AttnProcessor2_0`.
 */
import type { AttentionCall, Projected, RotaryTables } from "@lvsa/core";
import { normRotary, rmsNorm, type Tensor } from "@lvsa/runtime";
import type { Parameters } from "../parameters.js";
import { JointAttention } from "./joint-attention.js";
import type { HunyuanVideo15TransformerConfig } from "./transformer-hunyuan-video15-definition.js";

const EPS = 1e-6;

/** Names of a stream's layers in the checkpoint. */
const VIDEO = { q: "to_q", k: "to_k", v: "to_v", normQ: "norm_q", normK: "norm_k" } as const;
const ENCODER = {
  q: "add_q_proj",
  k: "add_k_proj",
  v: "add_v_proj",
  normQ: "norm_added_q",
  normK: "norm_added_k",
} as const;

export class HunyuanVideo15Attention extends JointAttention {
  constructor(name: string, index: number, config: HunyuanVideo15TransformerConfig, parameters: Parameters) {
    super(name, index, config.num_attention_heads, config.attention_head_dim, parameters);
  }

  project(call: AttentionCall): Projected {
    return this.#projectStream(call, call.hiddenStates, VIDEO);
  }

  projectRotated(call: AttentionCall): Projected {
    return this.#projectStream(call, call.hiddenStates, VIDEO, call.rotary);
  }

  protected projectText(call: AttentionCall, encoder: Tensor): Projected {
    return this.#projectStream(call, encoder, ENCODER);
  }

  protected outputLayer(stream: "video" | "encoder"): string {
    return stream === "video" ? "to_out.0" : "to_add_out";
  }

  #projectStream(
    call: AttentionCall,
    x: Tensor,
    names: typeof VIDEO | typeof ENCODER,
    tables?: RotaryTables,
  ): Projected {
    return {
      query: this.#normed(call, this.projectHeads(call, x, names.q), names.normQ, tables),
      key: this.#normed(call, this.projectHeads(call, x, names.k), names.normK, tables),
      value: this.projectHeads(call, x, names.v),
    };
  }

  /** Q and K are normalised head by head, and rotated where tables are given. */
  #normed(call: AttentionCall, x: Tensor, name: string, tables: RotaryTables | undefined): Tensor {
    const options = { weight: this.parameters.get(`${name}.weight`), eps: EPS };
    if (tables) {
      normRotary(call.device, x, {
        ...{ ...options, ...tables },
        ...{ kind: "rms", over: "head", style: "interleaved" },
      });
    } else rmsNorm(call.device, x, { ...options, inPlace: true });
    return x;
  }
}
