/** What a pipeline needs besides its transformer, and the settings that no file of weights holds. */
import type { ResolvedConfig } from "../../models/definition/resolved-config.js";

/** Places in a diffusers folder. */
export type Slot =
  | "transformer"
  | "transformer_2"
  | "vae"
  | "text_encoder"
  | "text_encoder_2"
  | "image_encoder"
  | TokenizerSlot;
export type TokenizerSlot = "tokenizer" | "tokenizer_2" | "text_tokenizer";

/** What makes a picture into what the image encoder sees: settings alone. */
export interface ImageProcessorSettings {
  /** Its folder. */
  readonly name: "image_processor" | "feature_extractor";
  readonly className: string;
  readonly config: ResolvedConfig;
}

/** Configurations of what is there, by slot. */
export type SlotConfigs = ReadonlyMap<Slot, ResolvedConfig>;

export interface Family {
  readonly title: string;
  /** Class of the transformer. */
  readonly className: string;
  readonly pipelineClass: (configs: SlotConfigs) => string;
  /** Classes of text encoders by slot: which file goes where. */
  readonly textEncoders: Readonly<Partial<Record<Slot, string>>>;
  /** What the pipeline can not do without. */
  readonly needs: (configs: SlotConfigs) => readonly Slot[];
  /** What it has a place for, and does without. */
  readonly takes: readonly Slot[];
  /** Of the slot's text encoder; Cosmos 3 has none and needs a tokenizer all the same. */
  readonly tokenizers: Readonly<Partial<Record<TokenizerSlot, Slot>>>;
  /** Sizes that two components share: of the transformer, and of another one. */
  readonly shared: readonly (readonly [key: string, slot: Slot, other: string])[];
  /** Keys of model_index.json besides the components. */
  readonly index: (configs: SlotConfigs) => ResolvedConfig;
  readonly scheduler: (configs: SlotConfigs) => ResolvedConfig & { readonly _class_name: string };
  readonly guider?: (configs: SlotConfigs) => ResolvedConfig;
  /** Keys of a component that follow from the other ones. */
  readonly settings?: Readonly<Partial<Record<Slot, (configs: SlotConfigs) => ResolvedConfig>>>;
  /** Of pipelines with an image encoder, from its configuration. */
  readonly imageProcessor?: (encoder: ResolvedConfig) => ImageProcessorSettings;
}

const of = (configs: SlotConfigs, slot: Slot): ResolvedConfig => configs.get(slot) ?? {};

const wan: Family = {
  title: "Wan",
  className: "WanTransformer3DModel",
  pipelineClass: (configs) => (hasConditionChannels(configs) ? "WanImageToVideoPipeline" : "WanPipeline"),
  textEncoders: { text_encoder: "T5EncoderModel" },
  tokenizers: { tokenizer: "text_encoder" },
  needs: (configs) => [
    ...(["vae", "text_encoder", "tokenizer"] as const),
    ...(Number(of(configs, "transformer").image_dim ?? 0) > 0 ? (["image_encoder"] as const) : []),
  ],
  takes: ["transformer_2"],
  imageProcessor: ({ image_size: edge }) => ({
    ...{ name: "image_processor", className: "CLIPImageProcessor" },
    config: { size: { shortest_edge: edge }, crop_size: { height: edge, width: edge } },
  }),
  shared: [
    ["out_channels", "vae", "z_dim"],
    ["text_dim", "text_encoder", "d_model"],
    ["image_dim", "image_encoder", "hidden_size"],
  ],
  // Shares of the noise schedule at which the authors of 2.2 change experts.
  index: (configs) => ({
    boundary_ratio: configs.has("transformer_2") ? (hasConditionChannels(configs) ? 0.9 : 0.875) : null,
    expand_timesteps: isTi2v(configs),
  }),
  scheduler: (configs) => ({
    ...{ _class_name: "UniPCMultistepScheduler", prediction_type: "flow_prediction", use_flow_sigmas: true },
    ...{ num_train_timesteps: 1000, flow_shift: isTi2v(configs) ? 5 : 3 },
  }),
};

/** TI2V-5B, whose latents have as many channels as its input. */
function isTi2v(configs: SlotConfigs): boolean {
  const { in_channels: inputs, out_channels: outputs } = of(configs, "transformer");
  return inputs === outputs && Number(inputs) > 16;
}

/** Beside those of the latents. */
function hasConditionChannels(configs: SlotConfigs): boolean {
  const { in_channels: inputs, out_channels: outputs } = of(configs, "transformer");
  // Both classes have 16 of each where their file does not say.
  return Number(inputs ?? 16) > Number(outputs ?? 16);
}

const hunyuan: Family = {
  title: "HunyuanVideo 1.5",
  className: "HunyuanVideo15Transformer3DModel",
  // The transformers of both tasks have the same tensors: the image encoder tells which one it is.
  pipelineClass: (configs) =>
    configs.has("image_encoder") ? "HunyuanVideo15ImageToVideoPipeline" : "HunyuanVideo15Pipeline",
  textEncoders: { text_encoder: "Qwen2_5_VLTextModel", text_encoder_2: "T5EncoderModel" },
  tokenizers: { tokenizer: "text_encoder", tokenizer_2: "text_encoder_2" },
  needs: () => ["vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"],
  takes: ["image_encoder"],
  settings: {
    transformer: (configs) => ({ task_type: configs.has("image_encoder") ? "i2v" : "t2v" }),
  },
  imageProcessor: ({ image_size: edge }) => ({
    ...{ name: "feature_extractor", className: "SiglipImageProcessor" },
    config: { size: { height: edge, width: edge } },
  }),
  shared: [
    ["out_channels", "vae", "latent_channels"],
    ["text_embed_dim", "text_encoder", "hidden_size"],
    ["text_embed_2_dim", "text_encoder_2", "d_model"],
    ["image_embed_dim", "image_encoder", "hidden_size"],
  ],
  index: () => ({}),
  scheduler: () => ({ _class_name: "FlowMatchEulerDiscreteScheduler", num_train_timesteps: 1000, shift: 5 }),
  guider: (configs) => ({
    _class_name: "ClassifierFreeGuidance",
    guidance_scale: of(configs, "transformer").use_meanflow === true ? 1 : 6,
  }),
};

const cogvideox: Family = {
  title: "CogVideoX",
  className: "CogVideoXTransformer3DModel",
  pipelineClass: (configs) =>
    hasConditionChannels(configs) ? "CogVideoXImageToVideoPipeline" : "CogVideoXPipeline",
  textEncoders: { text_encoder: "T5EncoderModel" },
  tokenizers: { tokenizer: "text_encoder" },
  needs: () => ["vae", "text_encoder", "tokenizer"],
  takes: [],
  shared: [
    ["out_channels", "vae", "latent_channels"],
    ["text_embed_dim", "text_encoder", "d_model"],
  ],
  index: () => ({}),
  scheduler: (configs) => ({
    ...{ _class_name: "CogVideoXDDIMScheduler", prediction_type: "v_prediction", num_train_timesteps: 1000 },
    ...{ beta_start: 0.00085, beta_end: 0.012, beta_schedule: "scaled_linear", timestep_spacing: "trailing" },
    ...{ rescale_betas_zero_snr: true, set_alpha_to_one: true, clip_sample: false },
    snr_shift_scale: isRotary(configs) ? 1 : 3,
  }),
  // The autoencoder is one and the same network; its factor differs between the published models.
  settings: {
    vae: (configs) => ({
      scaling_factor: isRotary(configs) ? 0.7 : 1.15258426,
      invert_scale_latents: Number(of(configs, "transformer").patch_size_t ?? 0) > 1,
    }),
  },
};

function isRotary(configs: SlotConfigs): boolean {
  return of(configs, "transformer").use_rotary_positional_embeddings === true;
}

const cosmos3: Family = {
  title: "Cosmos 3",
  className: "Cosmos3OmniTransformer",
  pipelineClass: () => "Cosmos3OmniPipeline",
  textEncoders: {},
  tokenizers: { text_tokenizer: "transformer" },
  needs: () => ["vae", "text_tokenizer"],
  takes: [],
  shared: [["latent_channel", "vae", "z_dim"]],
  index: (configs) =>
    isEdge(configs) ? { default_use_system_prompt: false, use_native_flow_schedule: true } : {},
  scheduler: (configs) => ({
    ...{ _class_name: "UniPCMultistepScheduler", prediction_type: "flow_prediction", use_flow_sigmas: true },
    num_train_timesteps: 1000,
    ...(isEdge(configs)
      ? { flow_shift: 5, use_karras_sigmas: false }
      : { flow_shift: 1, use_karras_sigmas: true, sigma_min: 0.147, sigma_max: 200 }),
  }),
};

function isEdge(configs: SlotConfigs): boolean {
  return of(configs, "transformer").hidden_act === "relu2";
}

export const FAMILIES: readonly Family[] = [wan, hunyuan, cogvideox, cosmos3];
