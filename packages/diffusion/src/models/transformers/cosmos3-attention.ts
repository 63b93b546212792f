/**
 * One layer of Cosmos 3 has two attentions with weights of their own: that of the understanding stream (text, causal,
 * sees itself) and that of the generation stream (video, sees the text's keys and values and itself). Keys and values
 * have fewer heads than queries. Source: diffusers `Cosmos3PackedMoTAttention`, `Cosmos3AttnProcessor`.
 */
import type {
  AttendedStreams,
  AttentionCall,
  AttentionModule,
  AttentionResult,
  BackendRunner,
  KeyValue,
  Projected,
  RotaryTables,
} from "@lvsa/core";
import { linear, normRotary, rmsNorm, rotary, type Tensor } from "@lvsa/runtime";
import type { Parameters } from "../parameters.js";
import type { Cosmos3TransformerConfig } from "./transformer-cosmos3-definition.js";

/** Names of a stream's layers in the checkpoint. */
const STREAMS = {
  und: { q: "to_q", k: "to_k", v: "to_v", normQ: "norm_q", normK: "norm_k", out: "to_out" },
  gen: {
    q: "add_q_proj",
    k: "add_k_proj",
    v: "add_v_proj",
    normQ: "norm_added_q",
    normK: "norm_added_k",
    out: "to_add_out",
  },
} as const;

/** `und`: understanding, causal over text. `gen`: generation, over text and video. */
export type Cosmos3Stream = keyof typeof STREAMS;

export class Cosmos3Attention implements AttentionModule {
  readonly name: string;
  readonly index: number;
  readonly stream: Cosmos3Stream;
  readonly role: "und" | "self";
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly scale: number;
  readonly causal: boolean;
  readonly #config: Cosmos3TransformerConfig;
  readonly #parameters: Parameters;

  /** `parameters` are those of `layers.{index}.self_attn.`. */
  constructor(
    name: string,
    index: number,
    stream: Cosmos3Stream,
    config: Cosmos3TransformerConfig,
    parameters: Parameters,
  ) {
    this.name = `${name}.${stream}`;
    this.index = index;
    this.stream = stream;
    this.role = stream === "und" ? "und" : "self";
    this.heads = config.num_attention_heads;
    this.keyValueHeads = config.num_key_value_heads;
    this.headDim = config.head_dim;
    this.scale = this.headDim ** -0.5;
    this.causal = stream === "und";
    this.#config = config;
    this.#parameters = parameters;
  }

  project(call: AttentionCall): Projected {
    return { query: this.#query(call), key: this.#key(call), value: this.#value(call) };
  }

  projectRotated(call: AttentionCall): Projected {
    const { rotary: tables } = call;
    return { query: this.#query(call, tables), key: this.#key(call, tables), value: this.#value(call) };
  }

  rotate(streams: Projected, tables: RotaryTables | undefined): void {
    this.#rotate(streams.query, tables);
    this.#rotate(streams.key, tables);
  }

  attend(call: AttentionCall, streams: Projected, run: BackendRunner): AttendedStreams {
    const { context } = call;
    const hidden = run({
      device: call.device,
      module: this,
      role: this.role,
      ...streams,
      ...(context ? { contextKey: context.key, contextValue: context.value } : {}),
      scale: this.scale,
      causal: this.causal,
      ...(call.geometry ? { geometry: call.geometry } : {}),
      ...(call.step ? { step: call.step } : {}),
    });
    return { hidden };
  }

  output(call: AttentionCall, { hidden }: AttendedStreams): AttentionResult {
    const p = this.#parameters;
    const name = STREAMS[this.stream].out;
    const flat = hidden.reshape([hidden.dim(0), hidden.dim(1), this.heads * this.headDim]);
    const { epilogue } = call;
    const hiddenStates = linear(call.device, flat, p.get(`${name}.weight`), {
      bias: p.optional(`${name}.bias`),
      ...{ gate: epilogue?.gate, out: epilogue?.out },
      ...(epilogue ? { residual: epilogue.residual, outDtype: "f32" } : {}),
    });
    return { hiddenStates };
  }

  /**
   * Of the understanding stream: what the generation stream sees of it. Nemotron-style models normalise these keys,
   * which they leave as they are for the text itself.
   */
  contextFor(call: AttentionCall): KeyValue {
    const { qk_norm_for_text, use_und_k_norm_for_gen } = this.#config;
    const normsHere = use_und_k_norm_for_gen && !qk_norm_for_text;
    const key = normsHere
      ? this.#finished(
          this.#project(call, STREAMS[this.stream].k, this.keyValueHeads),
          "k_norm_und_for_gen",
          call.rotary,
        )
      : this.#key(call, call.rotary);
    return { key, value: this.#value(call) };
  }

  /** With tables rotated, too. */
  #query(call: AttentionCall, tables?: RotaryTables): Tensor {
    const { q, normQ } = STREAMS[this.stream];
    return this.#finished(this.#project(call, q, this.heads), this.#isNormed ? normQ : undefined, tables);
  }

  #key(call: AttentionCall, tables?: RotaryTables): Tensor {
    const { k, normK } = STREAMS[this.stream];
    const key = this.#project(call, k, this.keyValueHeads);
    return this.#finished(key, this.#isNormed ? normK : undefined, tables);
  }

  #value(call: AttentionCall): Tensor {
    return this.#project(call, STREAMS[this.stream].v, this.keyValueHeads);
  }

  #project({ device, hiddenStates: x }: AttentionCall, name: string, heads: number): Tensor {
    const p = this.#parameters;
    const flat = linear(device, x, p.get(`${name}.weight`), { bias: p.optional(`${name}.bias`) });
    return flat.reshape([x.dim(0), x.dim(1), heads, this.headDim]);
  }

  get #isNormed(): boolean {
    return this.stream === "gen" || this.#config.qk_norm_for_text;
  }

  /** Normalised head by head where there is a norm, rotated where there are tables; in place. */
  #finished(x: Tensor, norm: string | undefined, tables: RotaryTables | undefined): Tensor {
    const { device } = this.#parameters;
    if (!norm) {
      this.#rotate(x, tables);
      return x;
    }
    const options = { weight: this.#parameters.get(`${norm}.weight`), eps: this.#config.rms_norm_eps };
    if (!tables) return rmsNorm(device, x, { ...options, inPlace: true });
    normRotary(device, x, { ...options, ...tables, kind: "rms", over: "head", style: "half" });
    return x;
  }

  #rotate(x: Tensor, tables: RotaryTables | undefined): void {
    if (tables) rotary(this.#parameters.device, x, tables.cos, tables.sin, { style: "half" });
  }
}
