/** Geometry and attention of CogVideoX 2B, 5B and 1.5. */
import type { AutoencoderKLCogVideoXConfig } from "../classes/autoencoder-kl-cogvideox.js";
import type { CogVideoXTransformerConfig } from "../classes/cogvideox-transformer.js";
import type { ComponentConfigs, FamilyRules } from "../family-rules.js";

const read = (configs: ComponentConfigs) => ({
  transformer: configs.transformer as CogVideoXTransformerConfig,
  vae: configs.vae as AutoencoderKLCogVideoXConfig,
});

/** The autoencoder halves the edges once per level but the last. */
const spatialFactor = (vae: AutoencoderKLCogVideoXConfig) => 2 ** (vae.block_out_channels.length - 1);

export const cogVideoXRules: FamilyRules = {
  family: "cogvideox",
  transformerClass: "CogVideoXTransformer3DModel",
  batchesGuidance: true,
  rows: (configs) => ({ text: read(configs).transformer.max_text_seq_length }),
  geometry: (configs) => {
    const { transformer, vae } = read(configs);
    const patchT = transformer.patch_size_t ?? 1;
    const trained = Math.floor((transformer.sample_frames - 1) / vae.temporal_compression_ratio) + 1;
    return {
      vaeSpatial: spatialFactor(vae),
      vaeTemporal: vae.temporal_compression_ratio,
      patch: transformer.patch_size,
      patchT,
      latentChannels: vae.latent_channels,
      transformerInChannels: transformer.in_channels,
      framesFirst: true,
      padsPatches: false,
      referenceTokenFrames: Math.ceil(trained / patchT),
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
      refinerTokens: [],
    };
  },
  defaults: (configs) => {
    const { transformer, vae } = read(configs);
    return {
      height: transformer.sample_height * spatialFactor(vae),
      width: transformer.sample_width * spatialFactor(vae),
      numFrames: transformer.sample_frames,
      numInferenceSteps: 50,
      guidanceScale: 6,
      fps: transformer.patch_size_t === null ? 8 : 16,
    };
  },
};
