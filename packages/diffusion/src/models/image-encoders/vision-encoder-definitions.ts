/** Parameters of the image encoders of the image-to-video repositories (transformers). */
import * as z from "zod";
import { layerCount, positive, size } from "../definition/config-fields.js";
import { defineModel } from "../definition/define-model.js";
import type { ParameterList } from "../definition/parameter-list.js";
import { imageTokens } from "./image-tokens.js";

const clipConfig = z.looseObject({
  hidden_size: size.default(768),
  intermediate_size: size.default(3072),
  projection_dim: size.default(512),
  num_hidden_layers: layerCount.default(12),
  num_attention_heads: size.default(12),
  num_channels: size.default(3),
  image_size: size.default(224),
  patch_size: size.default(32),
  hidden_act: z.string().default("quick_gelu"),
  layer_norm_eps: positive.default(1e-5),
  /** Not a key of config.json: the class without it is another one, in files that differ in nothing else. */
  has_projection: z.boolean().default(true),
});

export type ClipVisionConfig = z.infer<typeof clipConfig>;

const siglipConfig = z.looseObject({
  hidden_size: size.default(768),
  intermediate_size: size.default(3072),
  num_hidden_layers: layerCount.default(12),
  num_attention_heads: size.default(12),
  num_channels: size.default(3),
  image_size: size.default(224),
  patch_size: size.default(16),
  hidden_act: z.string().default("gelu_pytorch_tanh"),
  layer_norm_eps: positive.default(1e-6),
  /** Whether the pooling head is there. */
  vision_use_head: z.boolean().default(true),
});

export type SiglipVisionConfig = z.infer<typeof siglipConfig>;

/** By the names of transformers. */
const ACTIVATIONS = ["gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "silu", "relu"];

const common = {
  library: "transformers",
  role: "image encoder",
  ignored: [/\.position_ids$/],
  layerPattern: /^vision_model\.encoder\.layers\.\d+\./,
  unsupported: (config: {
    hidden_act: string;
    hidden_size: number;
    num_attention_heads: number;
    num_channels: number;
  }) => [
    !ACTIVATIONS.includes(config.hidden_act) && `hidden_act ${config.hidden_act}`,
    config.hidden_size % config.num_attention_heads !== 0 &&
      `num_attention_heads ${config.num_attention_heads} with hidden_size ${config.hidden_size}`,
    config.num_channels !== 3 && `num_channels ${config.num_channels}`,
  ],
} as const;

export const clipVision = defineModel({
  ...common,
  className: "CLIPVisionModelWithProjection",
  // What diffusers' pipeline names; the projection is not used either way.
  otherNames: ["CLIPVisionModel"],
  inferConfig: (shapes) => ({ has_projection: shapes.has("visual_projection.weight") }),
  schema: clipConfig,
  list: (model, config) => {
    const width = config.hidden_size;
    const vision = model.at("vision_model");
    vision.tensor("embeddings.class_embedding", [width]);
    const patch = [config.patch_size, config.patch_size];
    vision.conv("embeddings.patch_embedding", width, config.num_channels, patch, { bias: false });
    vision.tensor("embeddings.position_embedding.weight", [imageTokens(config, true), width]);
    // The class spells it so.
    vision.norm("pre_layrnorm", width);
    layers(vision, config);
    vision.norm("post_layernorm", width);
    if (config.has_projection) {
      model.linear("visual_projection", config.projection_dim, width, { bias: false });
    }
  },
});

export const siglipVision = defineModel({
  ...common,
  className: "SiglipVisionModel",
  inferConfig: (shapes) => ({ vision_use_head: shapes.has("vision_model.head.probe") }),
  schema: siglipConfig,
  list: (model, config) => {
    const width = config.hidden_size;
    const vision = model.at("vision_model");
    vision.conv("embeddings.patch_embedding", width, config.num_channels, [
      config.patch_size,
      config.patch_size,
    ]);
    vision.tensor("embeddings.position_embedding.weight", [imageTokens(config, false), width]);
    layers(vision, config);
    vision.norm("post_layernorm", width);
    if (!config.vision_use_head) return;
    const head = vision.at("head");
    head.tensor("probe", [1, 1, width]);
    head.tensor("attention.in_proj_weight", [3 * width, width]);
    head.tensor("attention.in_proj_bias", [3 * width]);
    head.linear("attention.out_proj", width, width);
    head.norm("layernorm", width);
    head.linear("mlp.fc1", config.intermediate_size, width);
    head.linear("mlp.fc2", width, config.intermediate_size);
  },
});

function layers(
  vision: ParameterList,
  config: { hidden_size: number; intermediate_size: number; num_hidden_layers: number },
): void {
  const width = config.hidden_size;
  for (let index = 0; index < config.num_hidden_layers; index++) {
    const layer = vision.at(`encoder.layers.${index}`);
    for (const name of ["q_proj", "k_proj", "v_proj", "out_proj"])
      layer.linear(`self_attn.${name}`, width, width);
    layer.norm("layer_norm1", width);
    layer.linear("mlp.fc1", config.intermediate_size, width);
    layer.linear("mlp.fc2", width, config.intermediate_size);
    layer.norm("layer_norm2", width);
  }
}
