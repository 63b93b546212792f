/** Parameters of `HunyuanVideo15Transformer3DModel` (diffusers, `transformer_hunyuan_video15.py`). */
import * as z from "zod";
import { count, size } from "../config-fields.js";
import { defineModelClass, type ModelClass } from "../model-class.js";
import type { ParameterList } from "../parameter-list.js";

/** Channels of the sinusoidal timestep embedding; fixed in the class. */
const TIMESTEP_CHANNELS = 256;
/** The refiner's blocks keep this ratio whatever the model's own is. */
const REFINER_MLP_RATIO = 4;

export const hunyuanTransformerConfig = z.looseObject({
  in_channels: size.default(65),
  out_channels: size.nullable().default(32),
  num_attention_heads: size.default(16),
  attention_head_dim: size.default(128),
  num_layers: size.default(54),
  num_refiner_layers: count.default(2),
  mlp_ratio: z.number().default(4),
  patch_size: size.default(1),
  patch_size_t: size.default(1),
  qk_norm: z.string().default("rms_norm"),
  text_embed_dim: size.default(3584),
  text_embed_2_dim: size.default(1472),
  image_embed_dim: size.default(1152),
  rope_theta: z.number().default(256),
  rope_axes_dim: z.array(count).default([16, 56, 56]),
  target_size: size.default(640),
  task_type: z.string().default("i2v"),
  use_meanflow: z.boolean().default(false),
  /** Width inside `context_embedder_2`. Not a key of config.json: the class has it as a constant. */
  glyph_hidden_dim: size.default(2048),
});

export type HunyuanTransformerConfig = z.infer<typeof hunyuanTransformerConfig>;

export const hunyuanTransformer: ModelClass = defineModelClass({
  className: "HunyuanVideo15Transformer3DModel",
  library: "diffusers",
  role: "transformer",
  schema: hunyuanTransformerConfig,
  list,
  inferConfig: (shapes) => {
    const width = shapes.get("context_embedder_2.linear_1.weight")?.[0];
    return width === undefined ? {} : { glyph_hidden_dim: width };
  },
  layerPattern: /^transformer_blocks\.\d+\./,
});

function list(model: ParameterList, config: HunyuanTransformerConfig): void {
  const dim = config.num_attention_heads * config.attention_head_dim;
  const patch = [config.patch_size_t, config.patch_size, config.patch_size];
  const patchVolume = config.patch_size_t * config.patch_size ** 2;

  model.conv("x_embedder.proj", dim, config.in_channels, patch, { rows: "video" });
  const image = model.at("image_embedder");
  image.norm("norm_in", config.image_embed_dim);
  image.linear("linear_1", config.image_embed_dim, config.image_embed_dim, { rows: "image" });
  image.linear("linear_2", dim, config.image_embed_dim, { rows: "image" });
  image.norm("norm_out", dim);
  refiner(model.at("context_embedder"), config, dim);
  const glyph = model.at("context_embedder_2");
  const hidden = config.glyph_hidden_dim;
  glyph.norm("norm", config.text_embed_2_dim);
  glyph.linear("linear_1", hidden, config.text_embed_2_dim, { rows: "glyph" });
  glyph.linear("linear_2", hidden, hidden, { rows: "glyph" });
  glyph.linear("linear_3", dim, hidden, { rows: "glyph" });
  timestepEmbedder(model.at("time_embed.timestep_embedder"), dim);
  if (config.use_meanflow) timestepEmbedder(model.at("time_embed.timestep_embedder_r"), dim);
  model.tensor("cond_type_embed.weight", [3, dim]);
  for (let layer = 0; layer < config.num_layers; layer++) {
    block(model.at(`transformer_blocks.${layer}`), config, dim);
  }
  model.linear("norm_out.linear", 2 * dim, dim, { rows: "sample" });
  model.linear("proj_out", patchVolume * (config.out_channels ?? config.in_channels), dim, { rows: "video" });
}

function timestepEmbedder(parameters: ParameterList, dim: number): void {
  parameters.linear("linear_1", dim, TIMESTEP_CHANNELS, { rows: "sample" });
  parameters.linear("linear_2", dim, dim, { rows: "sample" });
}

function refiner(parameters: ParameterList, config: HunyuanTransformerConfig, dim: number): void {
  timestepEmbedder(parameters.at("time_text_embed.timestep_embedder"), dim);
  // The mean over the prompt: one row.
  parameters.linear("time_text_embed.text_embedder.linear_1", dim, config.text_embed_dim, { rows: "sample" });
  parameters.linear("time_text_embed.text_embedder.linear_2", dim, dim, { rows: "sample" });
  parameters.linear("proj_in", dim, config.text_embed_dim, { rows: "prompt" });
  for (let layer = 0; layer < config.num_refiner_layers; layer++) {
    const refinerBlock = parameters.at(`token_refiner.refiner_blocks.${layer}`);
    refinerBlock.norm("norm1", dim);
    for (const name of ["to_q", "to_k", "to_v", "to_out.0"]) {
      refinerBlock.linear(`attn.${name}`, dim, dim, { rows: "prompt" });
    }
    refinerBlock.norm("norm2", dim);
    refinerBlock.linear("ff.net.0.proj", REFINER_MLP_RATIO * dim, dim, { rows: "prompt" });
    refinerBlock.linear("ff.net.2", dim, REFINER_MLP_RATIO * dim, { rows: "prompt" });
    refinerBlock.linear("norm_out.linear", 2 * dim, dim, { rows: "sample" });
  }
}

function block(parameters: ParameterList, config: HunyuanTransformerConfig, dim: number): void {
  const inner = Math.floor(dim * config.mlp_ratio);
  parameters.linear("norm1.linear", 6 * dim, dim, { rows: "sample" });
  parameters.linear("norm1_context.linear", 6 * dim, dim, { rows: "sample" });
  const attention = parameters.at("attn");
  for (const name of ["to_q", "to_k", "to_v", "to_out.0"])
    attention.linear(name, dim, dim, { rows: "video" });
  for (const name of ["add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"]) {
    attention.linear(name, dim, dim, { rows: "text" });
  }
  for (const name of ["norm_q", "norm_k", "norm_added_q", "norm_added_k"]) {
    attention.scale(name, config.attention_head_dim);
  }
  for (const [name, rows] of [
    ["ff", "video"],
    ["ff_context", "text"],
  ] as const) {
    parameters.linear(`${name}.net.0.proj`, inner, dim, { rows });
    parameters.linear(`${name}.net.2`, dim, inner, { rows });
  }
}
