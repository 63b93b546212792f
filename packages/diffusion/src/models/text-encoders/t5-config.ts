/** `text_encoder/config.json` of T5, UMT5 and ByT5 encoders (transformers `T5Config`). */
import * as z from "zod";

export const t5ConfigSchema = z.looseObject({
  d_model: z.number().int().positive(),
  d_kv: z.number().int().positive(),
  d_ff: z.number().int().positive(),
  num_layers: z.number().int().positive(),
  num_heads: z.number().int().positive(),
  vocab_size: z.number().int().positive(),
  relative_attention_num_buckets: z.number().int().positive().default(32),
  relative_attention_max_distance: z.number().int().positive().default(128),
  layer_norm_epsilon: z.number().positive().default(1e-6),
  feed_forward_proj: z.string().default("relu"),
  model_type: z.string().optional(),
});

export type T5Config = z.infer<typeof t5ConfigSchema>;
