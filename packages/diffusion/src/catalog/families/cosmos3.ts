/** Geometry and attention of Cosmos 3. */
import type { AutoencoderKLWanConfig } from "../classes/autoencoder-kl-wan.js";
import type { Cosmos3TransformerConfig } from "../classes/cosmos3-transformer.js";
import type { ComponentConfigs, FamilyRules } from "../family-rules.js";

/** Prompts are not padded, so their length varies; this one stands for it. */
const TEXT_TOKENS = 512;
/** Training lengths in latent frames: 189 video frames, and 121 for the Nemotron style (Edge). */
const REFERENCE_FRAMES = 48;
const REFERENCE_FRAMES_EDGE = 31;

const read = (configs: ComponentConfigs) => ({
  transformer: configs.transformer as Cosmos3TransformerConfig,
  vae: configs.vae as AutoencoderKLWanConfig,
});

export const cosmos3Rules: FamilyRules = {
  family: "cosmos3",
  transformerClass: "Cosmos3OmniTransformer",
  batchesGuidance: false,
  rows: () => ({ text: TEXT_TOKENS }),
  geometry: (configs) => {
    const { transformer, vae } = read(configs);
    return {
      vaeSpatial: vae.scale_factor_spatial ?? 8,
      vaeTemporal: vae.scale_factor_temporal ?? 4,
      patch: transformer.latent_patch_size,
      patchT: 1,
      latentChannels: transformer.latent_channel,
      transformerInChannels: transformer.patch_latent_dim,
      framesFirst: false,
      padsPatches: true,
      referenceTokenFrames: transformer.hidden_act === "relu2" ? REFERENCE_FRAMES_EDGE : REFERENCE_FRAMES,
    };
  },
  attention: (configs, rows) => {
    const { transformer } = read(configs);
    return {
      kind: "two streams",
      heads: transformer.num_attention_heads,
      kvHeads: transformer.num_key_value_heads,
      headDim: transformer.head_dim,
      layers: transformer.num_hidden_layers,
      jointTextTokens: rows.text ?? 0,
      crossTokens: {},
      refinerTokens: [],
    };
  },
  defaults: () => ({
    height: 720,
    width: 1280,
    numFrames: 189,
    numInferenceSteps: 35,
    guidanceScale: 6,
    fps: 24,
  }),
};
