/** Geometry and attention of Wan 2.1 and 2.2. */
import type { AutoencoderKLWanConfig } from "../classes/autoencoder-kl-wan.js";
import { imageTokens } from "../classes/vision-encoders.js";
import type { WanTransformerConfig } from "../classes/wan-transformer.js";
import type { ComponentConfigs, FamilyRules, TokenRows } from "../family-rules.js";

/** The pipeline pads every prompt to this many tokens and attends to all of them. */
const TEXT_TOKENS = 512;
/** Training lengths in latent frames: 81 and, for TI2V-5B, 121 video frames. */
const REFERENCE_FRAMES = 21;
const REFERENCE_FRAMES_TI2V = 31;
/** Of CLIP ViT-H/14, for checkpoints whose image encoder is not there. */
const IMAGE_TOKENS = 257;

const read = (configs: ComponentConfigs) => ({
  transformer: configs.transformer as WanTransformerConfig,
  vae: configs.vae as AutoencoderKLWanConfig,
});

function rows(configs: ComponentConfigs): TokenRows {
  if (read(configs).transformer.added_kv_proj_dim === null) return { text: TEXT_TOKENS };
  const encoder = configs.image_encoder as { image_size: number; patch_size: number } | undefined;
  return { text: TEXT_TOKENS, image: encoder ? imageTokens(encoder, true) : IMAGE_TOKENS };
}

export const wanRules: FamilyRules = {
  family: "wan",
  transformerClass: "WanTransformer3DModel",
  batchesGuidance: false,
  rows,
  geometry: (configs) => {
    const { transformer, vae } = read(configs);
    return {
      vaeSpatial: vae.scale_factor_spatial ?? 8,
      vaeTemporal: vae.scale_factor_temporal ?? 4,
      patch: transformer.patch_size[1],
      patchT: transformer.patch_size[0],
      latentChannels: vae.z_dim,
      transformerInChannels: transformer.in_channels,
      framesFirst: false,
      padsPatches: false,
      referenceTokenFrames: vae.is_residual ? REFERENCE_FRAMES_TI2V : REFERENCE_FRAMES,
    };
  },
  attention: (configs, tokens) => {
    const { transformer } = read(configs);
    return {
      kind: "self + cross",
      heads: transformer.num_attention_heads,
      kvHeads: transformer.num_attention_heads,
      headDim: transformer.attention_head_dim,
      layers: transformer.num_layers,
      jointTextTokens: 0,
      crossTokens: tokens,
      refinerTokens: [],
    };
  },
  defaults: (configs) => ({
    height: 480,
    width: 832,
    numFrames: 81,
    numInferenceSteps: 50,
    guidanceScale: 5,
    fps: read(configs).vae.is_residual ? 24 : 16,
  }),
};
