/** `transformer/config.json` of CogVideoX, with the defaults of diffusers' `CogVideoXTransformer3DModel`. */
import * as z from "zod";

const size = z.number().int().positive();

export const cogVideoXTransformerConfigSchema = z.looseObject({
  num_attention_heads: size.default(30),
  attention_head_dim: size.default(64),
  in_channels: size.default(16),
  out_channels: size.nullable().default(16),
  flip_sin_to_cos: z.literal(true).default(true),
  freq_shift: z.literal(0).default(0),
  time_embed_dim: size.default(512),
  ofs_embed_dim: z
    .null({ error: "image-to-video checkpoints (ofs embedding) are not supported" })
    .default(null),
  text_embed_dim: size.default(4096),
  num_layers: size.default(30),
  sample_width: size.default(90),
  sample_height: size.default(60),
  sample_frames: size.default(49),
  patch_size: size.default(2),
  /** Latent frames joined into one token frame (2 in CogVideoX 1.5). */
  patch_size_t: size.nullable().default(null),
  temporal_compression_ratio: size.default(4),
  max_text_seq_length: size.default(226),
  activation_fn: z.literal("gelu-approximate").default("gelu-approximate"),
  timestep_activation_fn: z.literal("silu").default("silu"),
  norm_eps: z.number().positive().default(1e-5),
  spatial_interpolation_scale: z.number().positive().default(1.875),
  temporal_interpolation_scale: z.number().positive().default(1),
  use_rotary_positional_embeddings: z.boolean().default(false),
  use_learned_positional_embeddings: z
    .literal(false, { error: "learned positions (image-to-video checkpoints) are not supported" })
    .default(false),
});

export type CogVideoXTransformerConfig = z.infer<typeof cogVideoXTransformerConfigSchema>;
