/**
 * The attention layers of Wan: self attention over video tokens, and cross attention over text (and, for image
 * to video, over image tokens with a softmax of their own). Source: diffusers `WanAttention`, `WanAttnProcessor`.
 */
import type {
  AttendedStreams,
  AttentionCall,
  AttentionModule,
  AttentionResult,
  BackendRunner,
  OutputEpilogue,
  Projected,
  RotaryTables,
} from "@lvsa/core";
import { add, linear, normRotary, rmsNorm, rotary, type Tensor } from "@lvsa/runtime";
import type { Parameters } from "../parameters.js";
import type { WanTransformerConfig } from "./transformer-wan-definition.js";

/** Image-to-video checkpoints put the image tokens in front of exactly this many text rows. */
const TEXT_ROWS_WITH_IMAGE = 512;

export class WanAttention implements AttentionModule {
  readonly name: string;
  readonly index: number;
  readonly role: "self" | "cross";
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly scale: number;
  readonly causal = false;
  readonly #parameters: Parameters;
  readonly #eps: number;

  constructor(
    name: string,
    index: number,
    role: "self" | "cross",
    config: WanTransformerConfig,
    parameters: Parameters,
  ) {
    this.name = name;
    this.index = index;
    this.role = role;
    this.heads = config.num_attention_heads;
    this.keyValueHeads = config.num_attention_heads;
    this.headDim = config.attention_head_dim;
    this.scale = this.headDim ** -0.5;
    this.#eps = config.eps;
    this.#parameters = parameters;
  }

  /** Whether this layer attends to image tokens too. */
  get hasImageKeys(): boolean {
    return this.#parameters.optional("add_k_proj.weight") !== undefined;
  }

  project(call: AttentionCall): Projected {
    const source = this.role === "self" ? call.hiddenStates : this.#textRows(call);
    return {
      query: this.#project(call, call.hiddenStates, "to_q", "norm_q"),
      key: this.#project(call, source, "to_k", "norm_k"),
      value: this.#project(call, source, "to_v"),
    };
  }

  projectRotated(call: AttentionCall): Projected {
    const x = call.hiddenStates;
    return {
      query: this.#project(call, x, "to_q", "norm_q", call.rotary),
      key: this.#project(call, x, "to_k", "norm_k", call.rotary),
      value: this.#project(call, x, "to_v"),
    };
  }

  rotate(streams: Projected, tables: RotaryTables | undefined): void {
    if (!tables) return;
    const { device } = this.#parameters;
    rotary(device, streams.query, tables.cos, tables.sin, { style: "interleaved" });
    rotary(device, streams.key, tables.cos, tables.sin, { style: "interleaved" });
  }

  attend(call: AttentionCall, streams: Projected, run: BackendRunner): AttendedStreams {
    const common = {
      device: call.device,
      module: this,
      role: this.role,
      scale: this.scale,
      causal: false,
      ...(call.step ? { step: call.step } : {}),
    };
    const geometry = this.role === "self" && call.geometry ? { geometry: call.geometry } : {};
    const hidden = run({
      ...common,
      ...geometry,
      query: streams.query,
      key: streams.key,
      value: streams.value,
    });
    const image = this.projectImage(call);
    if (!image) return { hidden };
    const fromImage = run({ ...common, query: streams.query, key: image.key, value: image.value });
    return { hidden: add(call.device, hidden, fromImage) };
  }

  output(call: AttentionCall, attended: AttendedStreams): AttentionResult {
    const [batch, tokens] = attended.hidden.shape;
    const flat = attended.hidden.reshape([batch!, tokens!, this.heads * this.headDim]);
    return { hiddenStates: this.#output(call, flat, call.epilogue) };
  }

  /** Keys and values of the image tokens in front of the text, `[B, L, H, D]`; undefined without them. */
  projectImage(call: AttentionCall): { key: Tensor; value: Tensor } | undefined {
    const context = call.encoderHiddenStates;
    if (this.role === "self" || !context || !this.hasImageKeys) return undefined;
    const rows = context.dim(1) - TEXT_ROWS_WITH_IMAGE;
    if (rows <= 0) return undefined;
    const image = context
      .reshape([context.dim(1), context.dim(2)])
      .rows(0, rows)
      .reshape([1, rows, context.dim(2)]);
    return {
      key: this.#project(call, image, "add_k_proj", "norm_added_k"),
      value: this.#project(call, image, "add_v_proj"),
    };
  }

  #textRows(call: AttentionCall): Tensor {
    const context = call.encoderHiddenStates ?? call.hiddenStates;
    if (!this.hasImageKeys) return context;
    const rows = context.dim(1);
    const start = Math.max(0, rows - TEXT_ROWS_WITH_IMAGE);
    return context
      .reshape([rows, context.dim(2)])
      .rows(start, rows)
      .reshape([1, rows - start, context.dim(2)]);
  }

  /** Q and K are normalised over all heads together, and rotated where tables are given. */
  #project(call: AttentionCall, x: Tensor, name: string, norm?: string, tables?: RotaryTables): Tensor {
    const p = this.#parameters;
    const y = linear(call.device, x, p.get(`${name}.weight`), { bias: p.get(`${name}.bias`) });
    const heads = y.reshape([x.dim(0), x.dim(1), this.heads, this.headDim]);
    if (!norm) return heads;
    const options = { weight: p.get(`${norm}.weight`), eps: this.#eps };
    if (tables) {
      normRotary(call.device, heads, {
        ...{ ...options, ...tables },
        ...{ kind: "rms", over: "token", style: "interleaved" },
      });
    } else rmsNorm(call.device, y, { ...options, inPlace: true });
    return heads;
  }

  #output(call: AttentionCall, x: Tensor, epilogue: OutputEpilogue | undefined): Tensor {
    const p = this.#parameters;
    return linear(call.device, x, p.get("to_out.0.weight"), {
      bias: p.get("to_out.0.bias"),
      ...(epilogue
        ? {
            residual: epilogue.residual,
            outDtype: "f32",
            ...(epilogue.gate ? { gate: epilogue.gate } : {}),
            ...(epilogue.out ? { out: epilogue.out } : {}),
          }
        : {}),
    });
  }
}
