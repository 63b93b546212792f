/**
 * Joint attention of HunyuanVideo 1.5: the video and the encoder stream have projections of their own and stay two
 * tensors. Rotary embedding is on the video stream alone. The encoder stream holds valid tokens only, which is
 * what the attention mask of diffusers comes to for the video and for every valid encoder token.
 * Source: diffusers `HunyuanVideo15AttnProcessor2_0`.
 */
import { linear, rmsNorm, rotary, type Tensor } from "@lvsa/runtime";
import type {
  AttendedStreams,
  AttentionCall,
  AttentionModule,
  AttentionResult,
  BackendRunner,
  OutputEpilogue,
  Projected,
  ProjectedStreams,
  RotaryTables,
} from "../../attention/attention-processor.js";
import type { Parameters } from "../parameters.js";
import type { HunyuanVideo15TransformerConfig } from "./transformer-hunyuan-video15-config.js";

const EPS = 1e-6;

/** Names of a stream's layers in the checkpoint. */
const VIDEO = { q: "to_q", k: "to_k", v: "to_v", normQ: "norm_q", normK: "norm_k", out: "to_out.0" } as const;
const ENCODER = {
  q: "add_q_proj",
  k: "add_k_proj",
  v: "add_v_proj",
  normQ: "norm_added_q",
  normK: "norm_added_k",
  out: "to_add_out",
} as const;

export class HunyuanVideo15Attention implements AttentionModule {
  readonly name: string;
  readonly index: number;
  readonly role = "joint";
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly scale: number;
  readonly causal = false;
  readonly #parameters: Parameters;

  constructor(name: string, index: number, config: HunyuanVideo15TransformerConfig, parameters: Parameters) {
    this.name = name;
    this.index = index;
    this.heads = config.num_attention_heads;
    this.keyValueHeads = config.num_attention_heads;
    this.headDim = config.attention_head_dim;
    this.scale = this.headDim ** -0.5;
    this.#parameters = parameters;
  }

  project(call: AttentionCall): ProjectedStreams {
    const video = this.#projectStream(call, call.hiddenStates, VIDEO);
    const encoder = this.projectEncoder(call);
    return encoder ? { ...video, encoder } : video;
  }

  /** Q, K, V of the video stream alone, not rotated. */
  projectVideo(call: AttentionCall): Projected {
    return this.#projectStream(call, call.hiddenStates, VIDEO);
  }

  /** Q, K, V of the encoder stream; undefined when the call has none. */
  projectEncoder(call: AttentionCall): Projected | undefined {
    const encoder = call.encoderHiddenStates;
    return encoder && encoder.dim(1) > 0 ? this.#projectStream(call, encoder, ENCODER) : undefined;
  }

  rotate(streams: Projected, tables: RotaryTables | undefined): void {
    if (!tables) return;
    const { device } = this.#parameters;
    rotary(device, streams.query, tables.cos, tables.sin, { style: "interleaved" });
    rotary(device, streams.key, tables.cos, tables.sin, { style: "interleaved" });
  }

  attend(call: AttentionCall, streams: ProjectedStreams, run: BackendRunner): AttendedStreams {
    const { encoder } = streams;
    const common = {
      device: call.device,
      module: this,
      role: this.role,
      scale: this.scale,
      causal: false,
      key: streams.key,
      value: streams.value,
      ...(encoder ? { contextKey: encoder.key, contextValue: encoder.value } : {}),
      ...(call.step ? { step: call.step } : {}),
    };
    const geometry = call.geometry ? { geometry: call.geometry } : {};
    const hidden = run({ ...common, ...geometry, query: streams.query });
    return encoder ? { hidden, encoder: run({ ...common, query: encoder.query }) } : { hidden };
  }

  output(call: AttentionCall, attended: AttendedStreams): AttentionResult {
    const hiddenStates = this.#output(call, attended.hidden, VIDEO.out, call.epilogue);
    if (!attended.encoder) return { hiddenStates };
    const encoderHiddenStates = this.#output(call, attended.encoder, ENCODER.out, call.encoderEpilogue);
    return { hiddenStates, encoderHiddenStates };
  }

  #projectStream(call: AttentionCall, x: Tensor, names: typeof VIDEO | typeof ENCODER): Projected {
    return {
      query: this.#project(call, x, names.q, names.normQ),
      key: this.#project(call, x, names.k, names.normK),
      value: this.#project(call, x, names.v),
    };
  }

  #project(call: AttentionCall, x: Tensor, name: string, norm?: string): Tensor {
    const p = this.#parameters;
    const flat = linear(call.device, x, p.get(`${name}.weight`), { bias: p.get(`${name}.bias`) });
    const y = flat.reshape([x.dim(0), x.dim(1), this.heads, this.headDim]);
    // Q and K are normalised head by head.
    if (norm) rmsNorm(call.device, y, { weight: p.get(`${norm}.weight`), eps: EPS, inPlace: true });
    return y;
  }

  #output(call: AttentionCall, x: Tensor, name: string, epilogue: OutputEpilogue | undefined): Tensor {
    const p = this.#parameters;
    return linear(
      call.device,
      x.reshape([x.dim(0), x.dim(1), this.heads * this.headDim]),
      p.get(`${name}.weight`),
      {
        bias: p.get(`${name}.bias`),
        ...(epilogue
          ? {
              residual: epilogue.residual,
              outDtype: "f32",
              ...(epilogue.gate ? { gate: epilogue.gate } : {}),
            }
          : {}),
      },
    );
  }
}
