/**
 * Joint attention of CogVideoX: video and text share one set of projections and stay two tensors. Rotary embedding
 * is on the video stream alone. There is no mask: padded text takes part.
 * Source: diffusers `CogVideoXAttnProcessor2_0`.
 */
import { layerNorm, linear, rotary, type Tensor } from "@lvsa/runtime";
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
import type { CogVideoXTransformerConfig } from "./transformer-cogvideox-config.js";

/** Of the LayerNorm on queries and keys, whatever the model's `norm_eps`. */
const QK_EPS = 1e-6;

export class CogVideoXAttention implements AttentionModule {
  readonly name: string;
  readonly index: number;
  readonly role = "joint";
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly scale: number;
  readonly causal = false;
  readonly #parameters: Parameters;

  constructor(name: string, index: number, config: CogVideoXTransformerConfig, parameters: Parameters) {
    this.name = name;
    this.index = index;
    this.heads = config.num_attention_heads;
    this.keyValueHeads = config.num_attention_heads;
    this.headDim = config.attention_head_dim;
    this.scale = this.headDim ** -0.5;
    this.#parameters = parameters;
  }

  project(call: AttentionCall): ProjectedStreams {
    const video = this.projectVideo(call);
    const encoder = this.projectEncoder(call);
    return encoder ? { ...video, encoder } : video;
  }

  /** Q, K, V of the video stream alone, not rotated. */
  projectVideo(call: AttentionCall): Projected {
    return this.#projectStream(call, call.hiddenStates);
  }

  /** Q, K, V of the text stream; undefined when the call has none. */
  projectEncoder(call: AttentionCall): Projected | undefined {
    const encoder = call.encoderHiddenStates;
    return encoder && encoder.dim(1) > 0 ? this.#projectStream(call, encoder) : undefined;
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
    const hiddenStates = this.#output(call, attended.hidden, call.epilogue);
    if (!attended.encoder) return { hiddenStates };
    return { hiddenStates, encoderHiddenStates: this.#output(call, attended.encoder, call.encoderEpilogue) };
  }

  #projectStream(call: AttentionCall, x: Tensor): Projected {
    return {
      query: this.#project(call, x, "to_q", "norm_q"),
      key: this.#project(call, x, "to_k", "norm_k"),
      value: this.#project(call, x, "to_v"),
    };
  }

  #project(call: AttentionCall, x: Tensor, name: string, norm?: string): Tensor {
    const p = this.#parameters;
    const flat = linear(call.device, x, p.get(`${name}.weight`), { bias: p.optional(`${name}.bias`) });
    const y = flat.reshape([x.dim(0), x.dim(1), this.heads, this.headDim]);
    if (!norm) return y;
    // Q and K are normalised head by head, with mean and bias.
    return layerNorm(call.device, y, {
      weight: p.get(`${norm}.weight`),
      bias: p.get(`${norm}.bias`),
      eps: QK_EPS,
    });
  }

  #output(call: AttentionCall, x: Tensor, epilogue: OutputEpilogue | undefined): Tensor {
    const p = this.#parameters;
    return linear(
      call.device,
      x.reshape([x.dim(0), x.dim(1), this.heads * this.headDim]),
      p.get("to_out.0.weight"),
      {
        bias: p.get("to_out.0.bias"),
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
