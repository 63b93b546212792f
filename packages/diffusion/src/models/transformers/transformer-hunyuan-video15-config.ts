/** `transformer/config.json` of HunyuanVideo 1.5, with the defaults of diffusers' `HunyuanVideo15Transformer3DModel`. */
import * as z from "zod";

const count = () => z.number().int().positive();

export const hunyuanVideo15TransformerConfigSchema = z.looseObject({
  in_channels: count().default(65),
  out_channels: count().nullable().default(32),
  num_attention_heads: count().default(16),
  attention_head_dim: count().default(128),
  num_layers: count().default(54),
  num_refiner_layers: count().default(2),
  mlp_ratio: z.number().positive().default(4),
  patch_size: count().default(1),
  patch_size_t: count().default(1),
  qk_norm: z.literal("rms_norm").default("rms_norm"),
  text_embed_dim: count().default(3584),
  text_embed_2_dim: count().default(1472),
  image_embed_dim: count().default(1152),
  rope_theta: z.number().positive().default(256),
  rope_axes_dim: z.tuple([count(), count(), count()]).default([16, 56, 56]),
  /** Pixels: side of a square with as many pixels as a video of the default size. */
  target_size: count().default(640),
  task_type: z.string().default("i2v"),
  use_meanflow: z.boolean().default(false),
});

export type HunyuanVideo15TransformerConfig = z.infer<typeof hunyuanVideo15TransformerConfigSchema>;
