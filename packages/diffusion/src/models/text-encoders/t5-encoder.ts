/**
 * T5, UMT5 and ByT5 encoders (transformers `T5EncoderModel`, `UMT5EncoderModel`). UMT5 has a relative bias in
 * every block, T5 in the first only. Scores are not divided by sqrt(d).
 *
 * Weights stream: one block at a time is on the GPU, and of the embedding table only the rows that the prompt
 * uses are read from the file. The residual stream is f32 (the feed-forward of UMT5-XXL overflows f16).
 */
import {
  attention,
  type Device,
  linear,
  rmsNorm,
  type Tensor,
  type WeightSource,
  WeightsError,
} from "@lvsa/runtime";
import { parseConfig } from "../model-config.js";
import { loadParameters, type Parameters } from "../parameters.js";
import { embeddingRows, readFloats } from "./embedding-rows.js";
import { relativeBias } from "./relative-position.js";
import { type T5Config, t5ConfigSchema } from "./t5-config.js";

export interface EncodeOptions {
  readonly signal?: AbortSignal;
  /** Hears of finished blocks. */
  readonly onProgress?: (done: number, total: number) => void;
}

export class T5EncoderModel {
  readonly config: T5Config;
  readonly #device: Device;
  readonly #source: WeightSource;

  /** Holds no weights: `source` stays open for as long as `encode` is used, and stays the caller's. */
  constructor(device: Device, source: WeightSource, config: unknown) {
    this.config = parseConfig(t5ConfigSchema, config, "T5EncoderModel");
    this.#device = device;
    this.#source = source;
  }

  /**
   * Last hidden state of unpadded token ids, `[1, ids.length, d_model]` f32. Padded keys are masked in the
   * original, so leaving them out changes nothing for the real rows. Owned by the caller.
   */
  async encode(ids: ArrayLike<number>, options: EncodeOptions = {}): Promise<Tensor> {
    const { num_layers: blocks, layer_norm_epsilon: eps } = this.config;
    const length = ids.length;
    let hidden = this.#device.upload(await embeddingRows(this.#source, embeddingName(this.#source), ids), [
      1,
      length,
      this.config.d_model,
    ]);
    let bias: Tensor | undefined;
    try {
      for (let i = 0; i < blocks; i++) {
        options.signal?.throwIfAborted();
        const loading = {
          prefix: `encoder.block.${i}.`,
          isStreamed: true,
          ...(options.signal ? { signal: options.signal } : {}),
        };
        const parameters = await loadParameters(this.#device, this.#source, loading);
        const table = parameters.optional("layer.0.SelfAttention.relative_attention_bias.weight");
        if (table) {
          bias?.dispose();
          bias = await this.#bias(
            `encoder.block.${i}.layer.0.SelfAttention.relative_attention_bias.weight`,
            length,
          );
        }
        if (!bias) {
          parameters.dispose();
          throw new WeightsError(
            "MISSING_TENSOR",
            "the first block of the text encoder has no relative_attention_bias",
          );
        }
        const previous = hidden;
        const currentBias = bias;
        hidden = this.#device.scope(() => this.#block(previous, parameters, currentBias));
        previous.dispose();
        parameters.dispose();
        options.onProgress?.(i + 1, blocks);
      }
      const final = await loadParameters(this.#device, this.#source, { prefix: "encoder.final_layer_norm." });
      const out = rmsNorm(this.#device, hidden, { weight: final.get("weight"), eps });
      final.dispose();
      return out;
    } finally {
      bias?.dispose();
      hidden.dispose();
    }
  }

  #block(hidden: Tensor, p: Parameters, bias: Tensor): Tensor {
    const device = this.#device;
    const { num_heads: heads, d_kv: headDim, layer_norm_epsilon: eps } = this.config;
    const length = hidden.dim(1);
    const project = (x: Tensor, name: string) =>
      linear(device, x, p.get(`layer.0.SelfAttention.${name}.weight`)).reshape([1, length, heads, headDim]);
    // 1. Self attention
    const x = rmsNorm(device, hidden, { weight: p.get("layer.0.layer_norm.weight"), eps });
    const attended = attention(device, {
      query: project(x, "q"),
      key: project(x, "k"),
      value: project(x, "v"),
      scale: 1,
      relativeBias: bias,
    }).output;
    const afterAttention = linear(
      device,
      attended.reshape([1, length, heads * headDim]),
      p.get("layer.0.SelfAttention.o.weight"),
      { residual: hidden },
    );
    // 2. Feed-forward, gated where there are two input projections
    const y = rmsNorm(device, afterAttention, { weight: p.get("layer.1.layer_norm.weight"), eps });
    const dense = p.scoped("layer.1.DenseReluDense.");
    const activation = this.config.feed_forward_proj.includes("gelu") ? "gelu_tanh" : "relu";
    const gate = dense.optional("wi_0.weight");
    const inner = gate
      ? linear(device, y, gate, { activation, multiply: linear(device, y, dense.get("wi_1.weight")) })
      : linear(device, y, dense.get("wi.weight"), { activation });
    return linear(device, inner, dense.get("wo.weight"), { residual: afterAttention, wideX: true });
  }

  async #bias(name: string, length: number): Promise<Tensor> {
    const { num_heads: heads, relative_attention_num_buckets: buckets } = this.config;
    const table = await readFloats(this.#source, name);
    const values = relativeBias(table, heads, length, buckets, this.config.relative_attention_max_distance);
    return this.#device.upload(values, [heads, 2 * length - 1]);
  }
}

function embeddingName(source: WeightSource): string {
  return source.has("shared.weight") ? "shared.weight" : "encoder.embed_tokens.weight";
}
