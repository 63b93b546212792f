/** Published CogVideoX checkpoints in the diffusers format. */
import type { ComponentDescription, KnownModel } from "../model-description.js";
import type { StoredDType } from "../weight-summary.js";

const ORGANIZATION = "zai-org";
const SIZE_5B = {
  num_attention_heads: 48,
  num_layers: 42,
  use_rotary_positional_embeddings: true,
};

const transformer = (
  config: ComponentDescription["config"],
  storedDType: StoredDType,
): ComponentDescription => ({
  className: "CogVideoXTransformer3DModel",
  config,
  storedDType,
});

const vae = (config: ComponentDescription["config"], storedDType: StoredDType): ComponentDescription => ({
  className: "AutoencoderKLCogVideoX",
  config,
  storedDType,
});

/** T5 v1.1 XXL. */
const t5 = (storedDType: StoredDType): ComponentDescription => ({
  className: "T5EncoderModel",
  config: {
    vocab_size: 32128,
    d_model: 4096,
    d_kv: 64,
    d_ff: 10240,
    num_layers: 24,
    num_heads: 64,
    feed_forward_proj: "gated-gelu",
  },
  storedDType,
});

const COMMON = { family: "cogvideox", task: "text-to-video", pipelineClass: "CogVideoXPipeline" } as const;

export const cogVideoXModels: readonly KnownModel[] = [
  {
    ...COMMON,
    name: "cogvideox-2b",
    repository: `${ORGANIZATION}/CogVideoX-2b`,
    components: { transformer: transformer({}, "f16"), vae: vae({}, "f16"), text_encoder: t5("f16") },
    defaults: {},
    recommended: { fps: 8 },
  },
  {
    ...COMMON,
    name: "cogvideox-5b",
    repository: `${ORGANIZATION}/CogVideoX-5b`,
    components: {
      transformer: transformer(SIZE_5B, "bf16"),
      vae: vae({ scaling_factor: 0.7 }, "bf16"),
      text_encoder: t5("bf16"),
    },
    defaults: {},
    recommended: { fps: 8 },
  },
  {
    ...COMMON,
    name: "cogvideox-1.5-5b",
    repository: `${ORGANIZATION}/CogVideoX1.5-5B`,
    components: {
      transformer: transformer(
        {
          ...SIZE_5B,
          patch_size_t: 2,
          patch_bias: false,
          sample_frames: 81,
          sample_height: 300,
          sample_width: 300,
        },
        "bf16",
      ),
      vae: vae({ scaling_factor: 0.7, invert_scale_latents: true }, "bf16"),
      text_encoder: t5("bf16"),
    },
    defaults: {},
    recommended: { fps: 16 },
  },
];
