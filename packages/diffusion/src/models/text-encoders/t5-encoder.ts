/**
 * T5, UMT5 and ByT5 encoders (transformers `T5EncoderModel`, `UMT5EncoderModel`). UMT5 has a relative bias in
 * every block, T5 in the first only. Scores are not divided by sqrt(d).
 *
 * Weights stream: one block at a time is on the GPU, and of the embedding table only the rows that the prompt
 * uses are read from the file. The residual stream is f32 (the feed-forward of UMT5-XXL overflows f16).
 */
import { attention } from "@lvsa/core";
import {
  type Device,
  linear,
  rmsNorm,
  type Tensor,
  throwIfAborted,
  type WeightSource,
  WeightsError,
} from "@lvsa/runtime";
import { ModelWeights } from "../definition/model-weights.js";
import { loadParameters, type Parameters } from "../parameters.js";
import { embeddingRows, readFloats } from "./embedding-rows.js";
import { relativeBias } from "./relative-position.js";
import { type T5Config, t5Encoder, t5FeedForward } from "./t5-encoder-definition.js";
import type { EncodeOptions, TextEncoder } from "./text-encoder.js";

const BIAS = "layer.0.SelfAttention.relative_attention_bias.weight";
const STOPPED = "encoding the prompt";

export class T5EncoderModel implements TextEncoder {
  readonly config: T5Config;
  readonly #device: Device;
  readonly #weights: ModelWeights;

  /**
   * Checks the weights against the definition (T5 or UMT5, as config and tensors say) and holds none: `source` stays
   * open for as long as `encode` is used, and stays the caller's. @throws ConfigError, WeightsError
   */
  constructor(device: Device, source: WeightSource, config: unknown, where?: string) {
    this.#device = device;
    this.#weights = ModelWeights.check(t5Encoder, config, source, { where });
    this.config = this.#weights.definition.configToRun(config, where) as T5Config;
  }

  /**
   * Last hidden states of unpadded token ids. Padded keys are masked in the original, so leaving them out changes
   * nothing for the real rows. Where padding is attended to (CogVideoX), it is part of the ids.
   */
  async encode(prompts: readonly ArrayLike<number>[], options: EncodeOptions = {}): Promise<Tensor[]> {
    const device = this.#device;
    const { num_layers: blocks, layer_norm_epsilon: eps, d_model: width } = this.config;
    const { signal } = options;
    const loading = { isStreamed: true, ...(signal ? { signal } : {}) };
    let hidden: Tensor[] = [];
    /** By length. */
    const biases = new Map<number, Tensor>();
    try {
      for (const ids of prompts) {
        throwIfAborted(signal, STOPPED);
        const rows = await embeddingRows(this.#weights, "shared.weight", ids);
        hidden.push(device.upload(rows, [1, ids.length, width]));
      }
      for (let i = 0; i < blocks; i++) {
        throwIfAborted(signal, STOPPED);
        const prefix = `encoder.block.${i}.`;
        using parameters = await loadParameters(device, this.#weights, { ...loading, prefix });
        if (parameters.optional(BIAS)) await this.#updateBiases(biases, prefix + BIAS, hidden);
        if (biases.size === 0 && hidden.length > 0) {
          throw new WeightsError(
            "MISSING_TENSOR",
            `the first block of the text encoder has no tensor ${prefix + BIAS}`,
            {
              where: this.#weights.info("shared.weight").file,
              fix: "Use the weights and the config.json of the same checkpoint.",
            },
          );
        }
        const previous = hidden;
        hidden = device.scope(() =>
          previous.map((x) => device.scope(() => this.#block(x, parameters, biases.get(x.dim(1))!))),
        );
        for (const x of previous) x.dispose();
        options.onProgress?.(i + 1, blocks);
      }
      using final = await loadParameters(device, this.#weights, {
        ...loading,
        prefix: "encoder.final_layer_norm.",
      });
      for (const x of hidden) rmsNorm(device, x, { weight: final.get("weight"), eps, inPlace: true });
      return hidden;
    } catch (error) {
      for (const x of hidden) x.dispose();
      throw error;
    } finally {
      for (const bias of biases.values()) bias.dispose();
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
    const { activation, isGated } = t5FeedForward(this.config);
    const inner = isGated
      ? linear(device, y, dense.get("wi_0.weight"), {
          activation,
          multiply: linear(device, y, dense.get("wi_1.weight")),
        })
      : linear(device, y, dense.get("wi.weight"), { activation });
    return linear(device, inner, dense.get("wo.weight"), { residual: afterAttention, wideX: true });
  }

  /** Biases of a block, one for each length among the prompts. */
  async #updateBiases(biases: Map<number, Tensor>, name: string, hidden: readonly Tensor[]): Promise<void> {
    const { num_heads: heads, relative_attention_num_buckets: buckets } = this.config;
    const table = await readFloats(this.#weights, name);
    for (const length of new Set(hidden.map((x) => x.dim(1)))) {
      const values = relativeBias(table, heads, length, buckets, this.config.relative_attention_max_distance);
      biases.get(length)?.dispose();
      biases.set(length, this.#device.upload(values, [heads, 2 * length - 1]));
    }
  }
}
