/** `vae/config.json` of Wan checkpoints, with the defaults of diffusers' `AutoencoderKLWan`. */
import * as z from "zod";

const numbers = z.array(z.number());

export const wanAutoencoderConfigSchema = z.looseObject({
  base_dim: z.number().int().positive().default(96),
  decoder_base_dim: z.number().int().positive().nullable().default(null),
  z_dim: z.number().int().positive().default(16),
  dim_mult: numbers.default([1, 2, 4, 4]),
  num_res_blocks: z.number().int().positive().default(2),
  attn_scales: numbers.default([]),
  temperal_downsample: z.array(z.boolean()).default([false, true, true]),
  latents_mean: numbers,
  latents_std: numbers,
  is_residual: z.boolean().default(false),
  in_channels: z.number().int().positive().default(3),
  out_channels: z.number().int().positive().default(3),
  /** Pixels joined into channels on each side (2 in the residual flavour). */
  patch_size: z.number().int().positive().nullable().default(null),
  scale_factor_temporal: z.number().int().positive().default(4),
  scale_factor_spatial: z.number().int().positive().default(8),
});

export type WanAutoencoderConfig = z.infer<typeof wanAutoencoderConfigSchema>;
