/** Parameters of `T5EncoderModel` (T5 v1.1, ByT5) and `UMT5EncoderModel` (transformers). */
import * as z from "zod";
import { size } from "../config-fields.js";
import { defineModelClass, type ModelClass } from "../model-class.js";
import type { ParameterList } from "../parameter-list.js";

interface T5Defaults {
  readonly vocabulary: number;
  readonly feedForward: number;
  readonly layers: number;
  readonly heads: number;
  readonly projection: string;
}

function schema(defaults: T5Defaults) {
  return z.looseObject({
    vocab_size: size.default(defaults.vocabulary),
    d_model: size.default(512),
    d_kv: size.default(64),
    d_ff: size.default(defaults.feedForward),
    num_layers: size.default(defaults.layers),
    num_heads: size.default(defaults.heads),
    relative_attention_num_buckets: size.default(32),
    relative_attention_max_distance: size.default(128),
    layer_norm_epsilon: z.number().default(1e-6),
    feed_forward_proj: z.string().default(defaults.projection),
  });
}

const t5Config = schema({ vocabulary: 32128, feedForward: 2048, layers: 6, heads: 8, projection: "relu" });
const umt5Config = schema({
  vocabulary: 250112,
  feedForward: 1024,
  layers: 8,
  heads: 6,
  projection: "gated-gelu",
});

export type T5Config = z.infer<typeof t5Config>;

const common = {
  library: "transformers",
  role: "text encoder",
  // The embedding is one tensor with two names; files hold either of them.
  aliases: { "shared.weight": "encoder.embed_tokens.weight" },
  // Whole T5 models carry a decoder and a head.
  ignored: [/^decoder\./, /^lm_head\./],
  layerPattern: /^encoder\.block\.\d+\./,
} as const;

export const t5Encoder: ModelClass = defineModelClass({
  ...common,
  className: "T5EncoderModel",
  schema: t5Config,
  list: (model, config) => list(model, config, (layer) => layer === 0),
});

/** UMT5 differs in that every layer has its own relative position bias. */
export const umt5Encoder: ModelClass = defineModelClass({
  ...common,
  className: "UMT5EncoderModel",
  schema: umt5Config,
  list: (model, config) => list(model, config, () => true),
});

function list(model: ParameterList, config: T5Config, hasBias: (layer: number) => boolean): void {
  const inner = config.num_heads * config.d_kv;
  const plain = { bias: false };
  model.tensor("shared.weight", [config.vocab_size, config.d_model]);
  for (let layer = 0; layer < config.num_layers; layer++) {
    const block = model.at(`encoder.block.${layer}`);
    const attention = block.at("layer.0.SelfAttention");
    for (const name of ["q", "k", "v"]) attention.linear(name, inner, config.d_model, plain);
    attention.linear("o", config.d_model, inner, plain);
    if (hasBias(layer)) {
      attention.tensor("relative_attention_bias.weight", [
        config.relative_attention_num_buckets,
        config.num_heads,
      ]);
    }
    block.scale("layer.0.layer_norm", config.d_model);
    const feedForward = block.at("layer.1.DenseReluDense");
    const inputs = config.feed_forward_proj.startsWith("gated-") ? ["wi_0", "wi_1"] : ["wi"];
    for (const name of inputs) feedForward.linear(name, config.d_ff, config.d_model, plain);
    feedForward.linear("wo", config.d_model, config.d_ff, plain);
    block.scale("layer.1.layer_norm", config.d_model);
  }
  model.scale("encoder.final_layer_norm", config.d_model);
}
