/** `text_encoder/config.json` of Qwen2.5-VL's text part, flat or nested under `text_config` (transformers). */
import * as z from "zod";

const count = () => z.number().int().positive();
const rope = z.looseObject({ rope_theta: z.number().positive().optional() }).nullish();

const flat = z.looseObject({
  hidden_size: count(),
  num_hidden_layers: count(),
  num_attention_heads: count(),
  num_key_value_heads: count(),
  rms_norm_eps: z.number().positive().default(1e-5),
  hidden_act: z.literal("silu").default("silu"),
  rope_theta: z.number().positive().optional(),
  /** Where newer versions of transformers keep `rope_theta`. */
  rope_parameters: rope,
  rope_scaling: rope,
});

export const qwen25VLTextConfigSchema = z.preprocess((config) => {
  if (typeof config !== "object" || config === null || !("text_config" in config)) return config;
  return { ...config, ...(config.text_config as object) };
}, flat);

export type Qwen25VLTextConfig = z.infer<typeof qwen25VLTextConfigSchema>;

export function ropeTheta(config: Qwen25VLTextConfig): number {
  return (
    config.rope_theta ?? config.rope_parameters?.rope_theta ?? config.rope_scaling?.rope_theta ?? 1_000_000
  );
}
