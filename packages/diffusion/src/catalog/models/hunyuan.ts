/** Published HunyuanVideo 1.5 checkpoints in the diffusers format. */
import type { ComponentDescription, KnownModel } from "../model-description.js";

/** Guidance of 1 is none: the distilled checkpoint has it built in. */
interface Variant {
  readonly task: "t2v" | "i2v";
  readonly size: "480p" | "720p";
  readonly flowShift: number;
  readonly distilled?: boolean;
}

/** Pixels of a square with as many of them. */
const TARGETS = { "480p": 640, "720p": 960 } as const;

const vae: ComponentDescription = {
  className: "AutoencoderKLHunyuanVideo15",
  config: {},
  storedDType: "f32",
};

const qwen: ComponentDescription = {
  className: "Qwen2_5_VLTextModel",
  config: {
    vocab_size: 152064,
    hidden_size: 3584,
    intermediate_size: 18944,
    num_hidden_layers: 28,
    num_attention_heads: 28,
    num_key_value_heads: 4,
    rms_norm_eps: 1e-6,
  },
  storedDType: "bf16",
};

const byt5: ComponentDescription = {
  className: "T5EncoderModel",
  config: {
    vocab_size: 1510,
    d_model: 1472,
    d_kv: 64,
    d_ff: 3584,
    num_layers: 12,
    num_heads: 6,
    feed_forward_proj: "gated-gelu",
  },
  storedDType: "f32",
};

const siglip: ComponentDescription = {
  className: "SiglipVisionModel",
  config: {
    hidden_size: 1152,
    intermediate_size: 4304,
    num_hidden_layers: 27,
    num_attention_heads: 16,
    image_size: 384,
    patch_size: 14,
  },
  storedDType: "bf16",
};

function describe({ task, size, flowShift, distilled = false }: Variant): KnownModel {
  const fromImage = task === "i2v";
  return {
    name: `hunyuanvideo-1.5-${size}-${task}${distilled ? "-step-distilled" : ""}`,
    repository: `hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-${size}_${task}${distilled ? "_step_distilled" : ""}`,
    family: "hunyuan",
    task: fromImage ? "image-to-video" : "text-to-video",
    pipelineClass: fromImage ? "HunyuanVideo15ImageToVideoPipeline" : "HunyuanVideo15Pipeline",
    components: {
      transformer: {
        className: "HunyuanVideo15Transformer3DModel",
        config: { target_size: TARGETS[size], task_type: task, use_meanflow: distilled },
        storedDType: "f32",
      },
      vae,
      text_encoder: qwen,
      text_encoder_2: byt5,
      ...(fromImage ? { image_encoder: siglip } : {}),
    },
    defaults: { flowShift },
    recommended: { fps: 24 },
  };
}

export const hunyuanModels: readonly KnownModel[] = [
  describe({ task: "t2v", size: "480p", flowShift: 5 }),
  describe({ task: "t2v", size: "720p", flowShift: 9 }),
  describe({ task: "i2v", size: "480p", flowShift: 5 }),
  describe({ task: "i2v", size: "720p", flowShift: 7 }),
  describe({ task: "i2v", size: "480p", flowShift: 7, distilled: true }),
];
