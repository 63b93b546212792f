/**
 * The text part of Qwen2.5-VL (transformers `Qwen2_5_VLTextModel`) as an encoder of prompts. For text alone its
 * three position ladders are one, so that rotary embedding is the ordinary one.
 *
 * Weights stream: one layer at a time is on the GPU, all prompts go through it, and of the embedding table only
 * the rows that the prompts use are read. The residual stream is f32.
 */
import { attention, type RotaryTables } from "@lvsa/core";
import {
  type Device,
  linear,
  rmsNorm,
  rotary,
  type Tensor,
  throwIfAborted,
  type WeightSource,
} from "@lvsa/runtime";
import { ModelWeights } from "../definition/model-weights.js";
import { integerPositions, rotaryFrequencies, rotaryGrid, uploadRotary } from "../embeddings.js";
import { type LoadOptions, loadParameters, type Parameters } from "../parameters.js";
import { embeddingRows } from "./embedding-rows.js";
import { type Qwen25VLTextConfig, qwen25VLText, ropeTheta } from "./qwen2-5-vl-text-definition.js";
import type { EncodeOptions, TextEncoder } from "./text-encoder.js";

export interface QwenEncodeOptions extends EncodeOptions {
  /**
   * Layers at the end that do not run: `n` gives transformers' `hidden_states[-(n + 1)]`. Default 0: all layers and
   * the final norm.
   */
  readonly skipLayers?: number;
  /** Hears of `hidden{i}` of prompt `prompt`, as in `hidden_states[i]`; copy what you want to keep. */
  readonly tap?: (name: string, tensor: Tensor, prompt: number) => void;
}

const EMBEDDING = "embed_tokens.weight";

export class Qwen25VLTextModel implements TextEncoder {
  readonly config: Qwen25VLTextConfig;
  readonly #device: Device;
  readonly #weights: ModelWeights;

  /**
   * Checks the weights against the definition and holds none: `source` stays open for as long as `encode` is used, and
   * stays the caller's. @throws ConfigError, WeightsError
   */
  constructor(device: Device, source: WeightSource, config: unknown, where?: string) {
    this.config = qwen25VLText.configToRun(config, where);
    this.#device = device;
    this.#weights = ModelWeights.check(qwen25VLText, config, source, { where });
  }

  /**
   * Hidden states `[1, ids.length, hidden_size]` f32 of each prompt's unpadded token ids. Attention looks back only,
   * so padding on the right changes nothing for the real rows. Owned by the caller.
   */
  async encode(prompts: readonly ArrayLike<number>[], options: QwenEncodeOptions = {}): Promise<Tensor[]> {
    const device = this.#device;
    const { hidden_size: width, num_hidden_layers, num_attention_heads, rms_norm_eps: eps } = this.config;
    const layers = num_hidden_layers - (options.skipLayers ?? 0);
    const longest = Math.max(1, ...prompts.map((ids) => ids.length));
    const frequencies = rotaryFrequencies(width / num_attention_heads, ropeTheta(this.config));
    const none = { positions: [0], frequencies: [] };
    using tables = uploadRotary(
      device,
      rotaryGrid({ positions: integerPositions(longest), frequencies }, none, none),
    );
    let hidden: Tensor[] = [];
    try {
      for (const [i, ids] of prompts.entries()) {
        const rows = await embeddingRows(this.#weights, EMBEDDING, ids);
        hidden.push(device.upload(rows, [1, ids.length, width]));
        options.tap?.("hidden0", hidden[i]!, i);
      }
      for (let layer = 0; layer < layers; layer++) {
        throwIfAborted(options.signal, "encoding the prompt");
        using parameters = await this.#load(`layers.${layer}.`, options);
        const previous = hidden;
        hidden = device.scope(() =>
          previous.map((x) => device.scope(() => this.#layer(x, parameters, tables))),
        );
        for (const x of previous) x.dispose();
        if (layer + 1 < num_hidden_layers) {
          for (const [i, x] of hidden.entries()) options.tap?.(`hidden${layer + 1}`, x, i);
        }
        options.onProgress?.(layer + 1, layers);
      }
      if (layers === num_hidden_layers) {
        using norm = await this.#load("norm.", options);
        for (const [i, x] of hidden.entries()) {
          rmsNorm(device, x, { weight: norm.get("weight"), eps, inPlace: true });
          options.tap?.(`hidden${layers}`, x, i);
        }
      }
      return hidden;
    } catch (error) {
      for (const x of hidden) x.dispose();
      throw error;
    }
  }

  #load(name: string, options: QwenEncodeOptions): Promise<Parameters> {
    const loading: LoadOptions = {
      prefix: name,
      isStreamed: true,
      ...(options.signal ? { signal: options.signal } : {}),
    };
    return loadParameters(this.#device, this.#weights, loading);
  }

  #layer(hidden: Tensor, p: Parameters, tables: RotaryTables): Tensor {
    const device = this.#device;
    const { hidden_size, num_attention_heads: heads, num_key_value_heads, rms_norm_eps: eps } = this.config;
    const headDim = hidden_size / heads;
    const length = hidden.dim(1);
    // 1. Causal self attention with grouped queries
    const x = rmsNorm(device, hidden, { weight: p.get("input_layernorm.weight"), eps });
    const project = (name: string, count: number) =>
      linear(device, x, p.get(`self_attn.${name}.weight`), { bias: p.get(`self_attn.${name}.bias`) }).reshape(
        [1, length, count, headDim],
      );
    const query = project("q_proj", heads);
    const key = project("k_proj", num_key_value_heads);
    for (const rotated of [query, key]) rotary(device, rotated, tables.cos, tables.sin, { style: "half" });
    const attended = attention(device, {
      query,
      key,
      value: project("v_proj", num_key_value_heads),
      causal: true,
    }).output;
    const afterAttention = linear(
      device,
      attended.reshape([1, length, hidden_size]),
      p.get("self_attn.o_proj.weight"),
      {
        residual: hidden,
      },
    );
    // 2. Gated feed-forward
    const y = rmsNorm(device, afterAttention, { weight: p.get("post_attention_layernorm.weight"), eps });
    const inner = linear(device, y, p.get("mlp.gate_proj.weight"), {
      activation: "silu",
      multiply: linear(device, y, p.get("mlp.up_proj.weight")),
    });
    return linear(device, inner, p.get("mlp.down_proj.weight"), {
      residual: afterAttention,
      wideX: true,
    });
  }
}
