/**
 * Wan 2.1 and 2.2: `WanTransformer3DModel` (diffusers, `models/transformers/transformer_wan.py`) and the videos that
 * its pipelines make.
 */
import { latentFrameCount, tokenFrameCount } from "@lvsa/core";
import { UsageError } from "@lvsa/runtime";
import * as z from "zod";
import {
  type AutoencoderKLWanConfig,
  isWan22Autoencoder,
} from "../autoencoders/autoencoder-kl-wan-definition.js";
import { attentionSizes, layerCount, optionalSize, positive, size } from "../definition/config-fields.js";
import { defineVideoModel } from "../definition/define-model.js";
import type { ParameterList } from "../definition/parameter-list.js";
import type { ComponentConfigs, TokenExtent, TokenRows } from "../definition/video-model.js";
import { imageTokens } from "../image-encoders/image-tokens.js";

/** The pipeline pads every prompt to this many tokens and attends to all of them. */
const TEXT_TOKENS = 512;
/** Training lengths in latent frames: 81 and, for TI2V-5B, 121 video frames. */
const REFERENCE_FRAMES = 21;
const REFERENCE_FRAMES_TI2V = 31;
/** Of CLIP ViT-H/14, for checkpoints whose image encoder is not there. */
const IMAGE_TOKENS = 257;

const schema = z.looseObject({
  patch_size: z.tuple([size, size, size]).default([1, 2, 2]),
  num_attention_heads: size.default(40),
  attention_head_dim: size.default(128),
  in_channels: size.default(16),
  out_channels: size.nullable().default(16),
  text_dim: size.default(4096),
  freq_dim: size.default(256),
  ffn_dim: size.default(13824),
  num_layers: layerCount.default(40),
  cross_attn_norm: z.boolean().default(true),
  qk_norm: z.string().nullable().default("rms_norm_across_heads"),
  eps: positive.default(1e-6),
  image_dim: optionalSize,
  added_kv_proj_dim: optionalSize,
  rope_max_seq_len: size.default(1024),
  pos_embed_seq_len: optionalSize,
  /** Video frames of the training length. Not a key of the class: some checkpoints state it. */
  sample_frames: size.optional(),
});

export type WanTransformerConfig = z.infer<typeof schema>;

export const wanTransformer = defineVideoModel({
  className: "WanTransformer3DModel",
  library: "diffusers",
  role: "transformer",
  schema,
  list,
  unsupported: ({ qk_norm }) => [qk_norm !== "rms_norm_across_heads" && `qk_norm ${qk_norm}`],
  // The original checkpoints carry a norm that the model never had a use for; diffusers skips it too.
  ignored: [/\.norm_added_q\./],
  layerPattern: /^blocks\.\d+\./,
  video: {
    family: "wan",
    rows,
    checkPositions: (configs, tokens) => checkRotaryLength(read(configs).transformer, tokens),
    geometry: (configs) => {
      const { transformer, vae } = read(configs);
      return {
        vaeSpatial: vae.scale_factor_spatial,
        vaeTemporal: vae.scale_factor_temporal,
        patch: transformer.patch_size[1],
        patchT: transformer.patch_size[0],
        latentChannels: vae.z_dim,
        transformerInChannels: transformer.in_channels,
        framesFirst: false,
        padsPatches: false,
        referenceTokenFrames: referenceFrames(configs),
      };
    },
    attention: (configs, tokens) => {
      const { transformer } = read(configs);
      return {
        kind: "self + cross",
        ...attentionSizes(transformer),
        jointTextTokens: 0,
        crossTokens: tokens,
        refinerTokens: [],
      };
    },
    // The values of diffusers' `WanPipeline.__call__` and, for fps, those of the authors.
    defaults: (configs) => ({
      height: 480,
      width: 832,
      numFrames: 81,
      numInferenceSteps: 50,
      guidanceScale: 5,
      fps: isTi2v(configs) ? 24 : 16,
      negativePrompt: "",
      maxSequenceLength: TEXT_TOKENS,
    }),
  },
});

function read(configs: ComponentConfigs) {
  return {
    transformer: configs.transformer as WanTransformerConfig,
    vae: configs.vae as AutoencoderKLWanConfig,
  };
}

/** Wan 2.2 TI2V-5B, the one Wan model with the autoencoder of 2.2. */
function isTi2v(configs: ComponentConfigs): boolean {
  return isWan22Autoencoder(read(configs).vae);
}

function referenceFrames(configs: ComponentConfigs): number {
  const { transformer, vae } = read(configs);
  if (transformer.sample_frames !== undefined) {
    const latents = latentFrameCount(transformer.sample_frames, vae.scale_factor_temporal);
    return tokenFrameCount(latents, transformer.patch_size[0]);
  }
  return isTi2v(configs) ? REFERENCE_FRAMES_TI2V : REFERENCE_FRAMES;
}

/** diffusers' tables have `rope_max_seq_len` rows for each axis, and its forward pass fails beyond them. */
function checkRotaryLength(
  { rope_max_seq_len: most, patch_size }: WanTransformerConfig,
  tokens: TokenExtent,
): void {
  const { tokenFrames, patchRows, patchColumns } = tokens;
  if (tokenFrames > most) {
    throw new UsageError(
      "BAD_FRAME_COUNT",
      `the clip has ${tokenFrames} token frames, and the model has rotary positions for ${most} (rope_max_seq_len).`,
      {
        fix: `Make fewer frames (${most * patch_size[0]} latent frames at most), or let it see them in windows (windowFrames, --window-frames).`,
      },
    );
  }
  const longest = Math.max(patchRows, patchColumns);
  if (longest <= most) return;
  throw new UsageError(
    "BAD_SIZE",
    `a frame has ${patchColumns}x${patchRows} tokens, and the model has rotary positions for ${most} on each side (rope_max_seq_len).`,
    { fix: "Choose a smaller height and width." },
  );
}

function rows(configs: ComponentConfigs, maxSequenceLength = TEXT_TOKENS): TokenRows {
  if (read(configs).transformer.added_kv_proj_dim === null) return { text: maxSequenceLength };
  const encoder = configs.image_encoder as { image_size: number; patch_size: number } | undefined;
  const one = encoder ? imageTokens(encoder, true) : IMAGE_TOKENS;
  // The table of positions joins the rows of a first and a last image.
  const images = read(configs).transformer.pos_embed_seq_len === null ? 1 : 2;
  return { text: TEXT_TOKENS, image: images * one };
}

function list(model: ParameterList, config: WanTransformerConfig): void {
  const dim = config.num_attention_heads * config.attention_head_dim;
  const [patchT, patchH, patchW] = config.patch_size;
  const outputs = config.out_channels ?? config.in_channels;

  model.tensor("scale_shift_table", [1, 2, dim]);
  model.conv("patch_embedding", dim, config.in_channels, config.patch_size, { rows: "video" });
  const condition = model.at("condition_embedder");
  condition.linear("time_embedder.linear_1", dim, config.freq_dim, { rows: "sample" });
  condition.linear("time_embedder.linear_2", dim, dim, { rows: "sample" });
  condition.linear("time_proj", 6 * dim, dim, { rows: "sample" });
  condition.linear("text_embedder.linear_1", dim, config.text_dim, { rows: "text" });
  condition.linear("text_embedder.linear_2", dim, dim, { rows: "text" });
  if (config.image_dim !== null) {
    imageEmbedder(condition.at("image_embedder"), config.image_dim, dim, config.pos_embed_seq_len);
  }
  for (let layer = 0; layer < config.num_layers; layer++) block(model.at(`blocks.${layer}`), config, dim);
  model.linear("proj_out", outputs * patchT * patchH * patchW, dim, { rows: "video" });
}

function imageEmbedder(embedder: ParameterList, imageDim: number, dim: number, positions: number | null) {
  if (positions !== null) embedder.tensor("pos_embed", [1, positions, imageDim]);
  embedder.norm("norm1", imageDim);
  embedder.linear("ff.net.0.proj", imageDim, imageDim, { rows: "image" });
  embedder.linear("ff.net.2", dim, imageDim, { rows: "image" });
  embedder.norm("norm2", dim);
}

function block(parameters: ParameterList, config: WanTransformerConfig, dim: number): void {
  parameters.tensor("scale_shift_table", [1, 6, dim]);
  for (const [name, keys] of [
    ["attn1", "video"],
    ["attn2", "text"],
  ] as const) {
    const attention = parameters.at(name);
    attention.linear("to_q", dim, dim, { rows: "video" });
    attention.linear("to_k", dim, dim, { rows: keys });
    attention.linear("to_v", dim, dim, { rows: keys });
    attention.linear("to_out.0", dim, dim, { rows: "video" });
    attention.scale("norm_q", dim);
    attention.scale("norm_k", dim);
  }
  if (config.added_kv_proj_dim !== null) {
    const attention = parameters.at("attn2");
    attention.linear("add_k_proj", dim, config.added_kv_proj_dim, { rows: "image" });
    attention.linear("add_v_proj", dim, config.added_kv_proj_dim, { rows: "image" });
    attention.scale("norm_added_k", dim);
  }
  if (config.cross_attn_norm) parameters.norm("norm2", dim);
  parameters.linear("ffn.net.0.proj", config.ffn_dim, dim, { rows: "video" });
  parameters.linear("ffn.net.2", dim, config.ffn_dim, { rows: "video" });
}
