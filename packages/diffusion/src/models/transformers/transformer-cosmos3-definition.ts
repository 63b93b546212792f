/**
 * Cosmos 3: `Cosmos3OmniTransformer` (diffusers, `transformer_cosmos3.py`), Qwen3 and Nemotron style, and the videos
 * that its pipeline makes.
 */
import * as z from "zod";
import type { AutoencoderKLWanConfig } from "../autoencoders/autoencoder-kl-wan-definition.js";
import { count, layerCount, optionalSize, positive, size } from "../definition/config-fields.js";
import { defineVideoModel } from "../definition/define-model.js";
import type { ParameterList, RowKind } from "../definition/parameter-list.js";
import type { ComponentConfigs } from "../definition/video-model.js";

/** Channels of the sinusoidal timestep embedding; fixed in the class. */
const TIMESTEP_CHANNELS = 256;
const ROPE_AXES = [24, 20, 20];
/** Prompts are not padded, so their length varies; this one stands for it. */
const TEXT_TOKENS = 512;
/** Training lengths in latent frames: 189 video frames, and 121 for the Nemotron style (Edge). */
const REFERENCE_FRAMES = 48;
const REFERENCE_FRAMES_EDGE = 31;

const schema = z.looseObject({
  attention_bias: z.boolean().default(false),
  attention_dropout: z.number().default(0),
  head_dim: size.default(128),
  hidden_size: size.default(4096),
  intermediate_size: size.default(12288),
  base_fps: positive.default(24),
  enable_fps_modulation: z.boolean().default(true),
  latent_channel: size.default(48),
  unified_3d_mrope_reset_spatial_ids: z.boolean().default(true),
  unified_3d_mrope_temporal_modality_margin: count.default(15000),
  latent_patch_size: size.default(2),
  num_attention_heads: size.default(32),
  num_hidden_layers: layerCount.default(36),
  num_key_value_heads: size.default(8),
  patch_latent_dim: size.default(192),
  rms_norm_eps: positive.default(1e-6),
  rope_scaling: z
    .looseObject({ mrope_section: z.array(count).optional() })
    .nullable()
    .default(null),
  rope_theta: positive.default(5_000_000),
  action_dim: optionalSize,
  action_gen: z.boolean().default(false),
  num_embodiment_domains: size.default(32),
  sound_dim: optionalSize,
  sound_gen: z.boolean().default(false),
  sound_latent_fps: z.number().default(25),
  timestep_scale: z.number().default(0.001),
  vocab_size: size.default(151936),
  hidden_act: z.enum(["silu", "relu2"]).default("silu"),
  qk_norm_for_text: z.boolean().default(true),
  use_und_k_norm_for_gen: z.boolean().default(false),
  rope_axes_dim: z.array(count).nullable().default(null),
});

const resolved = schema
  .transform((config) => ({
    ...config,
    rope_axes_dim: config.rope_axes_dim ?? config.rope_scaling?.mrope_section ?? ROPE_AXES,
  }))
  .refine((config) => !config.action_gen || config.action_dim !== null, {
    path: ["action_dim"],
    message: "must be set where action_gen is true",
  })
  .refine((config) => !config.sound_gen || config.sound_dim !== null, {
    path: ["sound_dim"],
    message: "must be set where sound_gen is true",
  });

export type Cosmos3TransformerConfig = z.infer<typeof resolved>;

/** Token frames of the clips that a model was trained on. */
export function cosmos3ReferenceFrames({ hidden_act }: Cosmos3TransformerConfig): number {
  return hidden_act === "relu2" ? REFERENCE_FRAMES_EDGE : REFERENCE_FRAMES;
}

export const cosmos3Transformer = defineVideoModel({
  className: "Cosmos3OmniTransformer",
  library: "diffusers",
  role: "transformer",
  schema: resolved,
  list,
  layerPattern: /^layers\.\d+\./,
  isResident: isCosmos3Generation,
  video: {
    family: "cosmos3",
    rows: () => ({ text: TEXT_TOKENS }),
    geometry: (configs) => {
      const { transformer, vae } = read(configs);
      return {
        vaeSpatial: vae.scale_factor_spatial,
        vaeTemporal: vae.scale_factor_temporal,
        patch: transformer.latent_patch_size,
        patchT: 1,
        latentChannels: transformer.latent_channel,
        transformerInChannels: transformer.patch_latent_dim,
        framesFirst: false,
        padsPatches: true,
        referenceTokenFrames: cosmos3ReferenceFrames(transformer),
      };
    },
    attention: (configs, tokens) => {
      const { transformer } = read(configs);
      return {
        kind: "two streams",
        heads: transformer.num_attention_heads,
        kvHeads: transformer.num_key_value_heads,
        headDim: transformer.head_dim,
        layers: transformer.num_hidden_layers,
        jointTextTokens: tokens.text ?? 0,
        crossTokens: {},
        refinerTokens: [],
      };
    },
    // The values of diffusers' `Cosmos3OmniPipeline.__call__`. Prompts are never cut.
    defaults: () => ({
      height: 720,
      width: 1280,
      numFrames: 189,
      numInferenceSteps: 35,
      guidanceScale: 6,
      fps: 24,
      negativePrompt: "",
      maxSequenceLength: Number.MAX_SAFE_INTEGER,
    }),
  },
});

function read(configs: ComponentConfigs) {
  return {
    transformer: configs.transformer as Cosmos3TransformerConfig,
    vae: configs.vae as AutoencoderKLWanConfig,
  };
}

/** Weights outside of the layers that the generation stream uses. */
const GENERATION = /^(proj_in|proj_out|time_embedder|norm_moe_gen)\./;
/** Weights of a layer that belong to the generation stream. */
const GENERATION_LAYER = /(^|\.)self_attn\.(add_|to_add_out|norm_added_)|_moe_gen\./;

/** Whether a parameter serves video; the others are the language model's, or those of sound and actions. */
export function isCosmos3Generation(name: string): boolean {
  return name.startsWith("layers.") ? GENERATION_LAYER.test(name) : GENERATION.test(name);
}

function list(model: ParameterList, config: Cosmos3TransformerConfig): void {
  const width = config.hidden_size;
  model.tensor("embed_tokens.weight", [config.vocab_size, width]);
  for (let index = 0; index < config.num_hidden_layers; index++) layer(model.at(`layers.${index}`), config);
  model.scale("norm", width);
  model.scale("norm_moe_gen", width);
  model.linear("lm_head", config.vocab_size, width, { rows: "unused", bias: false });
  model.linear("proj_in", width, config.patch_latent_dim, { rows: "video" });
  model.linear("proj_out", config.patch_latent_dim, width, { rows: "video" });
  model.linear("time_embedder.linear_1", width, TIMESTEP_CHANNELS, { rows: "sample" });
  model.linear("time_embedder.linear_2", width, width, { rows: "sample" });
  if (config.action_gen && config.action_dim !== null) {
    domainLinear(model.at("action_proj_in"), config.num_embodiment_domains, width, config.action_dim);
    domainLinear(model.at("action_proj_out"), config.num_embodiment_domains, config.action_dim, width);
    model.tensor("action_modality_embed", [width]);
  }
  if (config.sound_gen && config.sound_dim !== null) {
    model.linear("audio_proj_in", width, config.sound_dim, { rows: "unused" });
    model.linear("audio_proj_out", config.sound_dim, width, { rows: "unused" });
    model.tensor("audio_modality_embed", [width]);
  }
}

/** One matrix and bias per robot body, kept as embedding tables. */
function domainLinear(parameters: ParameterList, domains: number, outputs: number, inputs: number): void {
  parameters.tensor("fc.weight", [domains, outputs * inputs], "unused");
  parameters.tensor("bias.weight", [domains, outputs], "unused");
}

function layer(parameters: ParameterList, config: Cosmos3TransformerConfig): void {
  const width = config.hidden_size;
  const queries = config.num_attention_heads * config.head_dim;
  const keys = config.num_key_value_heads * config.head_dim;
  const attention = parameters.at("self_attn");
  const project = (names: readonly [string, string, string, string], rows: RowKind) => {
    const options = { rows, bias: config.attention_bias };
    attention.linear(names[0], queries, width, options);
    attention.linear(names[1], keys, width, options);
    attention.linear(names[2], keys, width, options);
    attention.linear(names[3], width, queries, options);
  };
  project(["to_q", "to_k", "to_v", "to_out"], "text");
  project(["add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"], "video");
  if (config.qk_norm_for_text) {
    attention.scale("norm_q", config.head_dim);
    attention.scale("norm_k", config.head_dim);
  } else if (config.use_und_k_norm_for_gen) {
    attention.scale("k_norm_und_for_gen", config.head_dim);
  }
  attention.scale("norm_added_q", config.head_dim);
  attention.scale("norm_added_k", config.head_dim);
  for (const [name, rows] of [
    ["mlp", "text"],
    ["mlp_moe_gen", "video"],
  ] as const) {
    const options = { rows, bias: false };
    if (config.hidden_act === "silu") {
      parameters.linear(`${name}.gate_proj`, config.intermediate_size, width, options);
    }
    parameters.linear(`${name}.up_proj`, config.intermediate_size, width, options);
    parameters.linear(`${name}.down_proj`, width, config.intermediate_size, options);
  }
  for (const name of ["input_layernorm", "post_attention_layernorm"]) {
    parameters.scale(name, width);
    parameters.scale(`${name}_moe_gen`, width);
  }
}
