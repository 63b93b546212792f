/** T5 v1.1 and ByT5 (`T5EncoderModel`) and `UMT5EncoderModel` (transformers). */
import type { Activation } from "@lvsa/runtime";
import * as z from "zod";
import { layerCount, positive, size } from "../definition/config-fields.js";
import { defineModel, type ModelDefinition, type TensorShapes } from "../definition/define-model.js";
import type { ParameterList } from "../definition/parameter-list.js";

interface T5Defaults {
  readonly vocabulary: number;
  readonly feedForward: number;
  readonly layers: number;
  readonly heads: number;
  readonly projection: string;
}

/** transformers' names of activations. "gelu" is the exact one. */
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  relu: "relu",
  gelu: "gelu",
  gelu_new: "gelu_tanh",
  gelu_pytorch_tanh: "gelu_tanh",
  silu: "silu",
  swish: "silu",
};

function schema(defaults: T5Defaults) {
  return z
    .looseObject({
      vocab_size: size.default(defaults.vocabulary),
      d_model: size.default(512),
      d_kv: size.default(64),
      d_ff: size.default(defaults.feedForward),
      num_layers: layerCount.default(defaults.layers),
      num_heads: size.default(defaults.heads),
      relative_attention_num_buckets: size.min(4).default(32),
      relative_attention_max_distance: size.default(128),
      layer_norm_epsilon: positive.default(1e-6),
      feed_forward_proj: z.string().default(defaults.projection),
      model_type: z.string().optional(),
    })
    .superRefine(({ feed_forward_proj: projection }, context) => {
      const known = Object.keys(ACTIVATIONS);
      if (known.includes(activationName(projection))) return;
      const message = `unknown activation "${projection}"; known are ${known.join(", ")}, alone or behind "gated-"`;
      context.addIssue({ code: "custom", path: ["feed_forward_proj"], message });
    });
}

/**
 * The activation behind a `feed_forward_proj`; `dense_act_fn` is written beside it and follows from it. Of the gated ones,
 * gelu stands for its approximation.
 */
function activationName(projection: string): string {
  if (projection === "gated-gelu") return "gelu_new";
  return projection.startsWith("gated-") ? projection.slice("gated-".length) : projection;
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

/** Of the feed-forward layers; `isGated`: they have two input projections. */
export function t5FeedForward({ feed_forward_proj: projection }: T5Config): {
  readonly activation: Activation;
  readonly isGated: boolean;
} {
  return { activation: ACTIVATIONS[activationName(projection)]!, isGated: projection.startsWith("gated-") };
}

const SECOND_BIAS = "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight";

/**
 * Published folders name UMT5 as T5EncoderModel too. config.json knows better, and where it says nothing, the second
 * layer's own bias.
 */
function variant(config: unknown, shapes: TensorShapes): ModelDefinition<T5Config> | undefined {
  const { model_type: type } = (config ?? {}) as { model_type?: unknown };
  if (type === "umt5") return umt5Encoder;
  if (type === "t5") return t5Encoder;
  return shapes.has(SECOND_BIAS) ? umt5Encoder : undefined;
}

const common = {
  library: "transformers",
  role: "text encoder",
  variant,
  // The embedding is one tensor with two names; files hold either of them.
  aliases: { "shared.weight": "encoder.embed_tokens.weight" },
  // Whole T5 models carry a decoder and a head.
  ignored: [/^decoder\./, /^lm_head\./],
  layerPattern: /^encoder\.block\.\d+\./,
} as const;

export const t5Encoder: ModelDefinition<T5Config> = defineModel({
  ...common,
  className: "T5EncoderModel",
  otherNames: ["T5Model", "T5ForConditionalGeneration"],
  schema: t5Config,
  list: (model, config) => list(model, config, (layer) => layer === 0),
});

/** UMT5 differs in that every layer has its own relative position bias. */
export const umt5Encoder: ModelDefinition<T5Config> = defineModel({
  ...common,
  className: "UMT5EncoderModel",
  otherNames: ["UMT5Model", "UMT5ForConditionalGeneration"],
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
    const inputs = t5FeedForward(config).isGated ? ["wi_0", "wi_1"] : ["wi"];
    for (const name of inputs) feedForward.linear(name, config.d_ff, config.d_model, plain);
    feedForward.linear("wo", config.d_model, config.d_ff, plain);
    block.scale("layer.1.layer_norm", config.d_model);
  }
  model.scale("encoder.final_layer_norm", config.d_model);
}
