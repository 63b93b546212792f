/**
 * HunyuanVideo 1.5: `HunyuanVideo15Transformer3DModel` (diffusers, `transformer_hunyuan_video15.py`) and the videos
 * that its pipeline makes.
 */
import { latentFrameCount, tokenFrameCount } from "@lvsa/core";
import * as z from "zod";
import type { AutoencoderKLHunyuanVideo15Config } from "../autoencoders/autoencoder-kl-hunyuan-video15-definition.js";
import { attentionSizes, layerCount, positive, size } from "../definition/config-fields.js";
import { defineVideoModel } from "../definition/define-model.js";
import type { ParameterList } from "../definition/parameter-list.js";
import type { ComponentConfigs } from "../definition/video-model.js";
import { imageTokens } from "../image-encoders/image-tokens.js";
import { closestSize } from "./hunyuan-video15-size.js";

/** Channels of the sinusoidal timestep embedding; fixed in the class. */
const TIMESTEP_CHANNELS = 256;
/** The refiner's blocks keep this ratio whatever the model's own is. */
const REFINER_MLP_RATIO = 4;
/** Lengths to which the pipeline pads; masked tokens may be left out of a run. */
const PROMPT_TOKENS = 1000;
const GLYPH_TOKENS = 256;
/** Of SigLIP with 384 pixels in patches of 14, also where a checkpoint has no image encoder. */
const IMAGE_TOKENS = 729;
/** 129 video frames. */
const REFERENCE_FRAMES = 33;
/** Of diffusers' `ClassifierFreeGuidance`, for a guider_config.json that names no scale. */
export const GUIDER_DEFAULT_SCALE = 7.5;
/** Videos are as wide to high as this unless a size is given. */
const DEFAULT_ASPECT = { height: 9, width: 16 };

const schema = z.looseObject({
  in_channels: size.default(65),
  out_channels: size.nullable().default(32),
  num_attention_heads: size.default(16),
  attention_head_dim: size.default(128),
  num_layers: layerCount.default(54),
  num_refiner_layers: layerCount.default(2),
  mlp_ratio: positive.max(64).default(4),
  patch_size: size.default(1),
  patch_size_t: size.default(1),
  qk_norm: z.string().default("rms_norm"),
  text_embed_dim: size.default(3584),
  text_embed_2_dim: size.default(1472),
  image_embed_dim: size.default(1152),
  rope_theta: positive.default(256),
  rope_axes_dim: z.tuple([size, size, size]).default([16, 56, 56]),
  /** Pixels: side of a square with as many pixels as a video of the default size. */
  target_size: size.max(8192).default(640),
  task_type: z.string().default("i2v"),
  use_meanflow: z.boolean().default(false),
  /** Video frames of the training length. Not a key of the class: some checkpoints state it. */
  sample_n_frames: size.optional(),
  /** Width inside `context_embedder_2`. Not a key of config.json: the class has it as a constant. */
  glyph_hidden_dim: size.default(2048),
});

export type HunyuanVideo15TransformerConfig = z.infer<typeof schema>;

export const hunyuanVideo15Transformer = defineVideoModel({
  className: "HunyuanVideo15Transformer3DModel",
  library: "diffusers",
  role: "transformer",
  schema,
  list,
  unsupported: ({ qk_norm }) => [qk_norm !== "rms_norm" && `qk_norm ${qk_norm}`],
  inferConfig: (shapes) => {
    const width = shapes.get("context_embedder_2.linear_1.weight")?.[0];
    return width === undefined ? {} : { glyph_hidden_dim: width };
  },
  layerPattern: /^transformer_blocks\.\d+\./,
  video: {
    family: "hunyuan",
    rows: (configs, prompt = PROMPT_TOKENS) => {
      const encoder = configs.image_encoder as { image_size: number; patch_size: number } | undefined;
      const image = encoder ? imageTokens(encoder, false) : IMAGE_TOKENS;
      return {
        text: prompt + GLYPH_TOKENS + image,
        prompt,
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
        referenceTokenFrames: referenceFrames(configs),
      };
    },
    attention: (configs, tokens) => {
      const { transformer } = read(configs);
      return {
        kind: "joint",
        ...attentionSizes(transformer),
        jointTextTokens: tokens.text ?? 0,
        crossTokens: {},
        refinerTokens: Array.from({ length: transformer.num_refiner_layers }, () => tokens.prompt ?? 0),
      };
    },
    sizeOfImage: (configs, image) => {
      const { transformer, vae } = read(configs);
      return closestSize(image, transformer.target_size, vae.spatial_compression_ratio);
    },
    // The values of diffusers' call; the size is that of its bucket rule.
    defaults: (configs) => {
      const { transformer, vae } = read(configs);
      return {
        ...closestSize(DEFAULT_ASPECT, transformer.target_size, vae.spatial_compression_ratio),
        numFrames: 121,
        numInferenceSteps: 50,
        // Distilled models have it built in.
        guidanceScale: transformer.use_meanflow ? 1 : 6,
        fps: 24,
        negativePrompt: "",
        maxSequenceLength: PROMPT_TOKENS,
      };
    },
  },
});

function referenceFrames(configs: ComponentConfigs): number {
  const { transformer, vae } = read(configs);
  if (transformer.sample_n_frames === undefined) return REFERENCE_FRAMES;
  const latents = latentFrameCount(transformer.sample_n_frames, vae.temporal_compression_ratio);
  return tokenFrameCount(latents, transformer.patch_size_t);
}

function read(configs: ComponentConfigs) {
  return {
    transformer: configs.transformer as HunyuanVideo15TransformerConfig,
    vae: configs.vae as AutoencoderKLHunyuanVideo15Config,
  };
}

function list(model: ParameterList, config: HunyuanVideo15TransformerConfig): void {
  const dim = config.num_attention_heads * config.attention_head_dim;
  const patch = [config.patch_size_t, config.patch_size, config.patch_size];
  const patchVolume = config.patch_size_t * config.patch_size ** 2;

  model.conv("x_embedder.proj", dim, config.in_channels, patch, { rows: "video" });
  const image = model.at("image_embedder");
  image.norm("norm_in", config.image_embed_dim);
  image.linear("linear_1", config.image_embed_dim, config.image_embed_dim, { rows: "image" });
  image.linear("linear_2", dim, config.image_embed_dim, { rows: "image" });
  image.norm("norm_out", dim);
  refiner(model.at("context_embedder"), config, dim);
  const glyph = model.at("context_embedder_2");
  const hidden = config.glyph_hidden_dim;
  glyph.norm("norm", config.text_embed_2_dim);
  glyph.linear("linear_1", hidden, config.text_embed_2_dim, { rows: "glyph" });
  glyph.linear("linear_2", hidden, hidden, { rows: "glyph" });
  glyph.linear("linear_3", dim, hidden, { rows: "glyph" });
  timestepEmbedder(model.at("time_embed.timestep_embedder"), dim);
  if (config.use_meanflow) timestepEmbedder(model.at("time_embed.timestep_embedder_r"), dim);
  model.tensor("cond_type_embed.weight", [3, dim]);
  for (let layer = 0; layer < config.num_layers; layer++) {
    block(model.at(`transformer_blocks.${layer}`), config, dim);
  }
  model.linear("norm_out.linear", 2 * dim, dim, { rows: "sample" });
  model.linear("proj_out", patchVolume * (config.out_channels ?? config.in_channels), dim, { rows: "video" });
}

function timestepEmbedder(parameters: ParameterList, dim: number): void {
  parameters.linear("linear_1", dim, TIMESTEP_CHANNELS, { rows: "sample" });
  parameters.linear("linear_2", dim, dim, { rows: "sample" });
}

function refiner(parameters: ParameterList, config: HunyuanVideo15TransformerConfig, dim: number): void {
  timestepEmbedder(parameters.at("time_text_embed.timestep_embedder"), dim);
  // The mean over the prompt: one row.
  parameters.linear("time_text_embed.text_embedder.linear_1", dim, config.text_embed_dim, { rows: "sample" });
  parameters.linear("time_text_embed.text_embedder.linear_2", dim, dim, { rows: "sample" });
  parameters.linear("proj_in", dim, config.text_embed_dim, { rows: "prompt" });
  for (let layer = 0; layer < config.num_refiner_layers; layer++) {
    const refinerBlock = parameters.at(`token_refiner.refiner_blocks.${layer}`);
    refinerBlock.norm("norm1", dim);
    for (const name of ["to_q", "to_k", "to_v", "to_out.0"]) {
      refinerBlock.linear(`attn.${name}`, dim, dim, { rows: "prompt" });
    }
    refinerBlock.norm("norm2", dim);
    refinerBlock.linear("ff.net.0.proj", REFINER_MLP_RATIO * dim, dim, { rows: "prompt" });
    refinerBlock.linear("ff.net.2", dim, REFINER_MLP_RATIO * dim, { rows: "prompt" });
    refinerBlock.linear("norm_out.linear", 2 * dim, dim, { rows: "sample" });
  }
}

function block(parameters: ParameterList, config: HunyuanVideo15TransformerConfig, dim: number): void {
  const inner = Math.floor(dim * config.mlp_ratio);
  parameters.linear("norm1.linear", 6 * dim, dim, { rows: "sample" });
  parameters.linear("norm1_context.linear", 6 * dim, dim, { rows: "sample" });
  const attention = parameters.at("attn");
  for (const name of ["to_q", "to_k", "to_v", "to_out.0"])
    attention.linear(name, dim, dim, { rows: "video" });
  for (const name of ["add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"]) {
    attention.linear(name, dim, dim, { rows: "text" });
  }
  for (const name of ["norm_q", "norm_k", "norm_added_q", "norm_added_k"]) {
    attention.scale(name, config.attention_head_dim);
  }
  for (const [name, rows] of [
    ["ff", "video"],
    ["ff_context", "text"],
  ] as const) {
    parameters.linear(`${name}.net.0.proj`, inner, dim, { rows });
    parameters.linear(`${name}.net.2`, dim, inner, { rows });
  }
}
