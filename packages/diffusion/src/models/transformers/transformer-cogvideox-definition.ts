/**
 * CogVideoX 2B, 5B and 1.5: `CogVideoXTransformer3DModel` (diffusers, `cogvideox_transformer_3d.py`) and the videos
 * that its pipeline makes.
 */
import { latentFrameCount, tokenFrameCount } from "@lvsa/core";
import * as z from "zod";
import {
  type AutoencoderKLCogVideoXConfig,
  cogVideoXSpatialFactor,
} from "../autoencoders/autoencoder-kl-cogvideox-definition.js";
import {
  attentionSizes,
  count,
  layerCount,
  optionalSize,
  positive,
  size,
} from "../definition/config-fields.js";
import { defineVideoModel } from "../definition/define-model.js";
import type { ParameterList } from "../definition/parameter-list.js";
import type { ComponentConfigs } from "../definition/video-model.js";
import { checkLearnedPositions, cogVideoXRotaryAxes } from "./cogvideox-positions.js";

/** Width of the feed-forward layers over the model's; fixed in the class. */
const MLP_RATIO = 4;
/** What the documentation of 1.5 names; its `sample_height` times 8 would be 2400 x 2400. */
const SIZE_15 = { height: 768, width: 1360 };

const schema = z.looseObject({
  num_attention_heads: size.default(30),
  attention_head_dim: size.default(64),
  in_channels: size.default(16),
  out_channels: size.nullable().default(16),
  flip_sin_to_cos: z.boolean().default(true),
  freq_shift: z.number().default(0),
  time_embed_dim: size.default(512),
  /** Null and 0 both mean that the model has none. */
  ofs_embed_dim: count.nullable().default(null),
  text_embed_dim: size.default(4096),
  num_layers: layerCount.default(30),
  dropout: z.number().default(0),
  attention_bias: z.boolean().default(true),
  sample_width: size.default(90),
  sample_height: size.default(60),
  sample_frames: size.default(49),
  patch_size: size.default(2),
  /** Latent frames joined into one token frame (2 in CogVideoX 1.5). */
  patch_size_t: optionalSize,
  temporal_compression_ratio: size.default(4),
  max_text_seq_length: size.default(226),
  activation_fn: z.string().default("gelu-approximate"),
  timestep_activation_fn: z.string().default("silu"),
  norm_elementwise_affine: z.boolean().default(true),
  norm_eps: positive.default(1e-5),
  spatial_interpolation_scale: positive.default(1.875),
  temporal_interpolation_scale: positive.default(1),
  use_rotary_positional_embeddings: z.boolean().default(false),
  use_learned_positional_embeddings: z.boolean().default(false),
  patch_bias: z.boolean().default(true),
});

export type CogVideoXTransformerConfig = z.infer<typeof schema>;

export const cogVideoXTransformer = defineVideoModel({
  className: "CogVideoXTransformer3DModel",
  library: "diffusers",
  role: "transformer",
  schema,
  list,
  unsupported: (config) => [
    Boolean(config.ofs_embed_dim) &&
      config.ofs_embed_dim !== config.time_embed_dim &&
      `ofs_embed_dim ${config.ofs_embed_dim} with time_embed_dim ${config.time_embed_dim}`,
    config.use_learned_positional_embeddings &&
      config.patch_size_t !== null &&
      "use_learned_positional_embeddings true with patch_size_t",
    config.activation_fn !== "gelu-approximate" && `activation_fn ${config.activation_fn}`,
    config.timestep_activation_fn !== "silu" && `timestep_activation_fn ${config.timestep_activation_fn}`,
    !config.flip_sin_to_cos && "flip_sin_to_cos false",
    config.freq_shift !== 0 && `freq_shift ${config.freq_shift}`,
  ],
  layerPattern: /^transformer_blocks\.\d+\./,
  video: {
    family: "cogvideox",
    rows: (configs, maxSequenceLength) => {
      const { max_text_seq_length: text, use_learned_positional_embeddings: isLearned } =
        read(configs).transformer;
      // Learned positions are for exactly so many.
      return { text: isLearned ? text : (maxSequenceLength ?? text) };
    },
    checkPositions: (
      configs,
      { tokenFrames: latentFrames, patchRows: height, patchColumns: width, patchesPerFrame },
    ) => {
      const { transformer } = read(configs);
      const tokens = { latentFrames, height, width, patchesPerFrame };
      if (transformer.use_rotary_positional_embeddings) cogVideoXRotaryAxes(transformer, tokens, undefined);
      if (transformer.use_learned_positional_embeddings) checkLearnedPositions(transformer, tokens);
    },
    geometry: (configs) => {
      const { transformer, vae } = read(configs);
      const patchT = transformer.patch_size_t ?? 1;
      const trained = latentFrameCount(transformer.sample_frames, vae.temporal_compression_ratio);
      return {
        vaeSpatial: cogVideoXSpatialFactor(vae),
        vaeTemporal: vae.temporal_compression_ratio,
        patch: transformer.patch_size,
        patchT,
        latentChannels: vae.latent_channels,
        transformerInChannels: transformer.in_channels,
        framesFirst: true,
        padsPatches: false,
        referenceTokenFrames: tokenFrameCount(trained, patchT),
      };
    },
    attention: (configs, tokens) => {
      const { transformer } = read(configs);
      return {
        kind: "joint",
        ...attentionSizes(transformer),
        jointTextTokens: tokens.text ?? 0,
        crossTokens: {},
        refinerTokens: [],
      };
    },
    // The values of diffusers' call, but for the size of 1.5; fps are those of the authors.
    defaults: (configs) => {
      const { transformer, vae } = read(configs);
      const factor = cogVideoXSpatialFactor(vae);
      const height = transformer.sample_height * factor;
      const width = transformer.sample_width * factor;
      const is15 = transformer.patch_size_t !== null;
      return {
        height: is15 ? Math.min(height, SIZE_15.height) : height,
        width: is15 ? Math.min(width, SIZE_15.width) : width,
        numFrames: transformer.sample_frames,
        numInferenceSteps: 50,
        guidanceScale: 6,
        fps: is15 ? 16 : 8,
        negativePrompt: "",
        maxSequenceLength: transformer.max_text_seq_length,
      };
    },
  },
});

function read(configs: ComponentConfigs) {
  return {
    transformer: configs.transformer as CogVideoXTransformerConfig,
    vae: configs.vae as AutoencoderKLCogVideoXConfig,
  };
}

function list(model: ParameterList, config: CogVideoXTransformerConfig): void {
  const dim = config.num_attention_heads * config.attention_head_dim;
  const time = config.time_embed_dim;
  const patchVolume = config.patch_size ** 2 * (config.patch_size_t ?? 1);
  const outputs = patchVolume * (config.out_channels ?? config.in_channels);
  patchEmbedding(model.at("patch_embed"), config, dim);
  model.linear("time_embedding.linear_1", time, dim, { rows: "sample" });
  model.linear("time_embedding.linear_2", time, time, { rows: "sample" });
  if (config.ofs_embed_dim) {
    model.linear("ofs_embedding.linear_1", config.ofs_embed_dim, config.ofs_embed_dim, { rows: "sample" });
    model.linear("ofs_embedding.linear_2", config.ofs_embed_dim, config.ofs_embed_dim, { rows: "sample" });
  }
  for (let layer = 0; layer < config.num_layers; layer++) {
    block(model.at(`transformer_blocks.${layer}`), config, dim);
  }
  if (config.norm_elementwise_affine) model.norm("norm_final", dim);
  model.linear("norm_out.linear", 2 * dim, time, { rows: "sample" });
  if (config.norm_elementwise_affine) model.norm("norm_out.norm", dim);
  model.linear("proj_out", outputs, dim, { rows: "video" });
}

function patchEmbedding(parameters: ParameterList, config: CogVideoXTransformerConfig, dim: number): void {
  const { patch_size: patch, patch_size_t: patchT, in_channels: channels } = config;
  if (patchT === null) {
    parameters.conv("proj", dim, channels, [patch, patch], { rows: "video", bias: config.patch_bias });
  } else {
    // The linear layer of 1.5 has a bias whatever `patch_bias` says.
    parameters.linear("proj", dim, channels * patch * patch * patchT, { rows: "video" });
  }
  parameters.linear("text_proj", dim, config.text_embed_dim, { rows: "text" });
  if (config.use_learned_positional_embeddings) {
    const frames = Math.floor((config.sample_frames - 1) / config.temporal_compression_ratio) + 1;
    const patches =
      Math.floor(config.sample_height / patch) * Math.floor(config.sample_width / patch) * frames;
    parameters.tensor("pos_embedding", [1, config.max_text_seq_length + patches, dim]);
  }
}

function block(parameters: ParameterList, config: CogVideoXTransformerConfig, dim: number): void {
  for (const name of ["norm1", "norm2"]) {
    parameters.linear(`${name}.linear`, 6 * dim, config.time_embed_dim, { rows: "sample" });
    if (config.norm_elementwise_affine) parameters.norm(`${name}.norm`, dim);
  }
  const attention = parameters.at("attn1");
  for (const name of ["to_q", "to_k", "to_v"]) {
    attention.linear(name, dim, dim, { rows: "text_and_video", bias: config.attention_bias });
  }
  attention.linear("to_out.0", dim, dim, { rows: "text_and_video" });
  attention.norm("norm_q", config.attention_head_dim);
  attention.norm("norm_k", config.attention_head_dim);
  parameters.linear("ff.net.0.proj", MLP_RATIO * dim, dim, { rows: "text_and_video" });
  parameters.linear("ff.net.2", dim, MLP_RATIO * dim, { rows: "text_and_video" });
}
