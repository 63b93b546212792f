/**
 * The text part of Qwen2.5-VL (transformers): `Qwen2_5_VLTextModel`, and that of the whole models, whose config keeps
 * the text's sizes in `text_config` (newer) or at the top (older).
 */
import * as z from "zod";
import { layerCount, positive, size } from "../definition/config-fields.js";
import { defineModel } from "../definition/define-model.js";
import type { ParameterList } from "../definition/parameter-list.js";

const rope = z.looseObject({ rope_theta: positive.optional() }).nullish();

const flat = z
  .looseObject({
    vocab_size: size.default(152064),
    hidden_size: size.default(8192),
    intermediate_size: size.default(29568),
    num_hidden_layers: layerCount.default(80),
    num_attention_heads: size.default(64),
    num_key_value_heads: size.default(8),
    rms_norm_eps: positive.default(1e-5),
    hidden_act: z.string().default("silu"),
    rope_theta: positive.optional(),
    /** Where newer versions of transformers keep `rope_theta`. */
    rope_parameters: rope,
    rope_scaling: rope,
  })
  .refine((config) => config.hidden_size % config.num_attention_heads === 0, {
    path: ["num_attention_heads"],
    message: "must divide hidden_size",
  });

const schema = z.preprocess((config) => {
  if (typeof config !== "object" || config === null || !("text_config" in config)) return config;
  return { ...config, ...(config.text_config as object) };
}, flat);

export type Qwen25VLTextConfig = z.infer<typeof flat>;

export function ropeTheta(config: Qwen25VLTextConfig): number {
  return (
    config.rope_theta ?? config.rope_parameters?.rope_theta ?? config.rope_scaling?.rope_theta ?? 1_000_000
  );
}

export const qwen25VLText = defineModel({
  className: "Qwen2_5_VLTextModel",
  otherNames: ["Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLModel"],
  library: "transformers",
  role: "text encoder",
  schema,
  unsupported: ({ hidden_act }) => [hidden_act !== "silu" && `hidden_act ${hidden_act}`],
  prefixes: ["", "model.", "model.language_model.", "language_model.", "language_model.model."],
  ignored: [/(^|\.)visual\./, /(^|\.)lm_head\./],
  layerPattern: /^layers\.\d+\./,
  list,
});

function list(model: ParameterList, config: Qwen25VLTextConfig): void {
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
