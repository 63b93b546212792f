/**
 * Parameters of `Qwen2_5_VLTextModel` (transformers), and of the text part of `Qwen2_5_VLForConditionalGeneration`,
 * whose config keeps the text's sizes in `text_config` (newer) or at the top (older).
 */
import * as z from "zod";
import { size } from "../config-fields.js";
import { defineModelClass, type ModelClass } from "../model-class.js";
import type { ParameterList } from "../parameter-list.js";

const textConfig = z.looseObject({
  vocab_size: size.default(152064),
  hidden_size: size.default(8192),
  intermediate_size: size.default(29568),
  num_hidden_layers: size.default(80),
  num_attention_heads: size.default(64),
  num_key_value_heads: size.default(8),
  rms_norm_eps: z.number().default(1e-5),
});

export type QwenTextConfig = z.infer<typeof textConfig>;

const nestedConfig = z.preprocess((config) => {
  if (typeof config !== "object" || config === null || !("text_config" in config)) return config;
  return { ...config, ...(config.text_config as object) };
}, textConfig);

const common = {
  library: "transformers",
  role: "text encoder",
  prefixes: ["", "model.", "model.language_model.", "language_model.", "language_model.model."],
  ignored: [/(^|\.)visual\./, /(^|\.)lm_head\./],
  layerPattern: /^layers\.\d+\./,
  list,
} as const;

export const qwenText: ModelClass = defineModelClass({
  ...common,
  className: "Qwen2_5_VLTextModel",
  schema: textConfig,
});

export const qwenConditionalGeneration: ModelClass = defineModelClass({
  ...common,
  className: "Qwen2_5_VLForConditionalGeneration",
  schema: nestedConfig,
});

function list(model: ParameterList, config: QwenTextConfig): void {
  const width = config.hidden_size;
  const keys = (width / config.num_attention_heads) * config.num_key_value_heads;
  const plain = { bias: false };
  model.tensor("embed_tokens.weight", [config.vocab_size, width]);
  for (let index = 0; index < config.num_hidden_layers; index++) {
    const layer = model.at(`layers.${index}`);
    layer.linear("self_attn.q_proj", width, width);
    layer.linear("self_attn.k_proj", keys, width);
    layer.linear("self_attn.v_proj", keys, width);
    layer.linear("self_attn.o_proj", width, width, plain);
    layer.linear("mlp.gate_proj", config.intermediate_size, width, plain);
    layer.linear("mlp.up_proj", config.intermediate_size, width, plain);
    layer.linear("mlp.down_proj", width, config.intermediate_size, plain);
    layer.scale("input_layernorm", width);
    layer.scale("post_attention_layernorm", width);
  }
  model.scale("norm", width);
}
