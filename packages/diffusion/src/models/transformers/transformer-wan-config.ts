/** `transformer/config.json` of Wan checkpoints, with the defaults of diffusers' `WanTransformer3DModel`. */
import * as z from "zod";

export const wanTransformerConfigSchema = z.looseObject({
  patch_size: z.tuple([z.number().int(), z.number().int(), z.number().int()]).default([1, 2, 2]),
  num_attention_heads: z.number().int().positive().default(40),
  attention_head_dim: z.number().int().positive().default(128),
  in_channels: z.number().int().positive().default(16),
  out_channels: z.number().int().positive().nullable().default(16),
  text_dim: z.number().int().positive().default(4096),
  freq_dim: z.number().int().positive().default(256),
  ffn_dim: z.number().int().positive().default(13824),
  num_layers: z.number().int().positive().default(40),
  cross_attn_norm: z.boolean().default(true),
  qk_norm: z.literal("rms_norm_across_heads").nullable().default("rms_norm_across_heads"),
  eps: z.number().positive().default(1e-6),
  image_dim: z.number().int().positive().nullable().default(null),
  added_kv_proj_dim: z.number().int().positive().nullable().default(null),
  rope_max_seq_len: z.number().int().positive().default(1024),
  pos_embed_seq_len: z.number().int().positive().nullable().default(null),
});

export type WanTransformerConfig = z.infer<typeof wanTransformerConfigSchema>;
