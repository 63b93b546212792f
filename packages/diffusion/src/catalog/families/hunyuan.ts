/** Geometry and attention of HunyuanVideo 1.5. */
import type { AutoencoderKLHunyuanVideo15Config } from "../classes/autoencoder-kl-hunyuan-video15.js";
import type { HunyuanTransformerConfig } from "../classes/hunyuan-transformer.js";
import { imageTokens } from "../classes/vision-encoders.js";
import type { ComponentConfigs, FamilyRules } from "../family-rules.js";
import { closestSize } from "./hunyuan-size.js";

/** Lengths to which the pipeline pads; masked tokens may be left out of a run. */
const PROMPT_TOKENS = 1000;
const GLYPH_TOKENS = 256;
/** Of SigLIP with 384 pixels in patches of 14, also where a checkpoint has no image encoder. */
const IMAGE_TOKENS = 729;
/** 129 video frames. */
const REFERENCE_FRAMES = 33;

const read = (configs: ComponentConfigs) => ({
  transformer: configs.transformer as HunyuanTransformerConfig,
  vae: configs.vae as AutoencoderKLHunyuanVideo15Config,
});

export const hunyuanRules: FamilyRules = {
  family: "hunyuan",
  transformerClass: "HunyuanVideo15Transformer3DModel",
  batchesGuidance: false,
  rows: (configs) => {
    const encoder = configs.image_encoder as { image_size: number; patch_size: number } | undefined;
    const image = encoder ? imageTokens(encoder, false) : IMAGE_TOKENS;
    return {
      text: PROMPT_TOKENS + GLYPH_TOKENS + image,
      prompt: PROMPT_TOKENS,
      glyph: GLYPH_TOKENS,
      image,
    };
  },
  geometry: (configs) => {
    const { transformer, vae } = read(configs);
    return {
      vaeSpatial: vae.spatial_compression_ratio,
      vaeTemporal: vae.temporal_compression_ratio,
      patch: transformer.patch_size,
      patchT: transformer.patch_size_t,
      latentChannels: vae.latent_channels,
      transformerInChannels: transformer.in_channels,
      framesFirst: false,
      padsPatches: false,
      referenceTokenFrames: REFERENCE_FRAMES,
    };
  },
  attention: (configs, rows) => {
    const { transformer } = read(configs);
    return {
      kind: "joint",
      heads: transformer.num_attention_heads,
      kvHeads: transformer.num_attention_heads,
      headDim: transformer.attention_head_dim,
      layers: transformer.num_layers,
      jointTextTokens: rows.text ?? 0,
      crossTokens: {},
      refinerTokens: Array.from({ length: transformer.num_refiner_layers }, () => rows.prompt ?? 0),
    };
  },
  defaults: (configs) => {
    const { transformer, vae } = read(configs);
    const distilled = transformer.use_meanflow;
    return {
      ...closestSize({ height: 9, width: 16 }, transformer.target_size, vae.spatial_compression_ratio),
      numFrames: 121,
      numInferenceSteps: 50,
      guidanceScale: distilled ? 1 : 6,
      fps: 24,
    };
  },
};
