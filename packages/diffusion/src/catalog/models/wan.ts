/** Published Wan checkpoints in the diffusers format. */
import { WAN22_LATENTS_MEAN, WAN22_LATENTS_STD } from "../../models/autoencoders/wan-latent-statistics.js";
import type { ComponentDescription, KnownModel } from "../model-description.js";
import type { StoredDType } from "../weight-summary.js";

const ORGANIZATION = "Wan-AI";

/** Widths of the three sizes; all other keys have the defaults of the class. */
const SIZE_1_3B = { num_attention_heads: 12, ffn_dim: 8960, num_layers: 30 };
const SIZE_5B = {
  num_attention_heads: 24,
  ffn_dim: 14336,
  num_layers: 30,
  in_channels: 48,
  out_channels: 48,
};
const SIZE_14B = { num_attention_heads: 40, ffn_dim: 13824, num_layers: 40 };
/** Input of image-to-video: 16 noisy, 4 mask and 16 condition channels. */
const IMAGE_INPUT = { in_channels: 36 };

const transformer = (config: ComponentDescription["config"]): ComponentDescription => ({
  className: "WanTransformer3DModel",
  config,
  storedDType: "f32",
});

const umt5 = (storedDType: StoredDType): ComponentDescription => ({
  className: "UMT5EncoderModel",
  config: {
    vocab_size: 256384,
    d_model: 4096,
    d_kv: 64,
    d_ff: 10240,
    num_layers: 24,
    num_heads: 64,
    feed_forward_proj: "gated-gelu",
  },
  storedDType,
});

const vae21: ComponentDescription = { className: "AutoencoderKLWan", config: {}, storedDType: "f32" };

/** The residual autoencoder of TI2V-5B, which Cosmos 3 uses too. */
export const wan22Autoencoder = (storedDType: StoredDType): ComponentDescription => ({
  className: "AutoencoderKLWan",
  config: {
    base_dim: 160,
    decoder_base_dim: 256,
    z_dim: 48,
    in_channels: 12,
    out_channels: 12,
    patch_size: 2,
    is_residual: true,
    scale_factor_spatial: 16,
    latents_mean: WAN22_LATENTS_MEAN,
    latents_std: WAN22_LATENTS_STD,
  },
  storedDType,
});

/** The image tower of CLIP ViT-H/14. */
const clip: ComponentDescription = {
  className: "CLIPVisionModelWithProjection",
  config: {
    hidden_size: 1280,
    intermediate_size: 5120,
    num_hidden_layers: 32,
    num_attention_heads: 16,
    projection_dim: 1024,
    patch_size: 14,
    image_size: 224,
    hidden_act: "gelu",
  },
  storedDType: "bf16",
};

/** Of scheduler_config.json; the rest is the definition's. */
const DEFAULTS = { flowShift: 3 };

const TEXT_TO_VIDEO = { family: "wan", task: "text-to-video", pipelineClass: "WanPipeline" } as const;
const IMAGE_TO_VIDEO = {
  family: "wan",
  task: "image-to-video",
  pipelineClass: "WanImageToVideoPipeline",
} as const;
const HD = { height: 720, width: 1280 };

const image14B = (size: "480p" | "720p", recommended: KnownModel["recommended"]): KnownModel => ({
  ...IMAGE_TO_VIDEO,
  name: `wan2.1-i2v-14b-${size}`,
  repository: `${ORGANIZATION}/Wan2.1-I2V-14B-${size.toUpperCase()}-Diffusers`,
  components: {
    transformer: transformer({ ...SIZE_14B, ...IMAGE_INPUT, image_dim: 1280, added_kv_proj_dim: 5120 }),
    vae: vae21,
    text_encoder: umt5("f32"),
    image_encoder: clip,
  },
  defaults: DEFAULTS,
  recommended,
});

export const wanModels: readonly KnownModel[] = [
  {
    ...TEXT_TO_VIDEO,
    name: "wan2.1-t2v-1.3b",
    repository: `${ORGANIZATION}/Wan2.1-T2V-1.3B-Diffusers`,
    components: { transformer: transformer(SIZE_1_3B), vae: vae21, text_encoder: umt5("f32") },
    defaults: DEFAULTS,
    recommended: { fps: 16 },
  },
  {
    ...TEXT_TO_VIDEO,
    name: "wan2.1-t2v-14b",
    repository: `${ORGANIZATION}/Wan2.1-T2V-14B-Diffusers`,
    components: { transformer: transformer(SIZE_14B), vae: vae21, text_encoder: umt5("f32") },
    defaults: DEFAULTS,
    recommended: { ...HD, fps: 16 },
  },
  image14B("480p", { fps: 16 }),
  image14B("720p", { ...HD, fps: 16 }),
  {
    ...TEXT_TO_VIDEO,
    name: "wan2.2-t2v-a14b",
    repository: `${ORGANIZATION}/Wan2.2-T2V-A14B-Diffusers`,
    components: {
      transformer: transformer(SIZE_14B),
      transformer_2: transformer(SIZE_14B),
      vae: vae21,
      text_encoder: umt5("bf16"),
    },
    defaults: DEFAULTS,
    recommended: {
      ...HD,
      numInferenceSteps: 40,
      guidanceScale: 4,
      guidanceScale2: 3,
      flowShift: 12,
      fps: 16,
    },
    boundaryRatio: 0.875,
  },
  {
    ...IMAGE_TO_VIDEO,
    name: "wan2.2-i2v-a14b",
    repository: `${ORGANIZATION}/Wan2.2-I2V-A14B-Diffusers`,
    components: {
      transformer: transformer({ ...SIZE_14B, ...IMAGE_INPUT }),
      transformer_2: transformer({ ...SIZE_14B, ...IMAGE_INPUT }),
      vae: vae21,
      text_encoder: umt5("bf16"),
    },
    defaults: DEFAULTS,
    recommended: {
      ...HD,
      numInferenceSteps: 40,
      guidanceScale: 3.5,
      guidanceScale2: 3.5,
      flowShift: 5,
      fps: 16,
    },
    boundaryRatio: 0.9,
  },
  {
    ...TEXT_TO_VIDEO,
    name: "wan2.2-ti2v-5b",
    repository: `${ORGANIZATION}/Wan2.2-TI2V-5B-Diffusers`,
    components: {
      transformer: transformer(SIZE_5B),
      vae: wan22Autoencoder("f32"),
      text_encoder: umt5("bf16"),
    },
    defaults: { flowShift: 5 },
    recommended: {
      height: 704,
      width: 1280,
      numFrames: 121,
      numInferenceSteps: 50,
      guidanceScale: 5,
      flowShift: 5,
      fps: 24,
    },
  },
];
