/** How each family's parts are made and fed without a checkpoint: inputs of the pipeline's shapes, without prompts. */
import type { AttentionDispatcher, AttentionTarget, StepInfo } from "@lvsa/core";
import { ConfigError, type Device, type FloatDType, type Tensor, type WeightSource } from "@lvsa/runtime";
import type { ComponentDescription } from "../catalog/model-description.js";
import type { ModelShape } from "../catalog/model-shape.js";
import { AutoencoderKLCogVideoX } from "../models/autoencoders/autoencoder-kl-cogvideox.js";
import { AutoencoderKLHunyuanVideo15 } from "../models/autoencoders/autoencoder-kl-hunyuan-video15.js";
import { AutoencoderKLWan } from "../models/autoencoders/autoencoder-kl-wan.js";
import type { VideoGrid } from "../models/definition/video-grid.js";
import { getModelClass } from "../models/model-classes.js";
import type { LoadOptions } from "../models/parameters.js";
import { Qwen25VLTextModel } from "../models/text-encoders/qwen2-5-vl-text-model.js";
import { T5EncoderModel } from "../models/text-encoders/t5-encoder.js";
import type { Cosmos3Understanding } from "../models/transformers/cosmos3-understanding.js";
import type { PassControl } from "../models/transformers/run-blocks.js";
import { CogVideoXTransformer3DModel } from "../models/transformers/transformer-cogvideox.js";
import { Cosmos3OmniTransformer } from "../models/transformers/transformer-cosmos3.js";
import { HunyuanVideo15Transformer3DModel } from "../models/transformers/transformer-hunyuan-video15.js";
import { WanTransformer3DModel } from "../models/transformers/transformer-wan.js";

/** What the four transformers have in common. */
interface LoadableTransformer extends AttentionTarget {
  computeDtype: FloatDType;
  load(source: WeightSource, options?: LoadOptions): Promise<void>;
  unload(): void;
}

export interface StandInTransformer {
  readonly target: LoadableTransformer;
  /** Reads `prompts` prompts with the transformer's own weights, where a family does that. Before `load`. */
  understand?(source: WeightSource, shape: ModelShape, prompts: number): Promise<void>;
  /** The prediction, the caller's. */
  forward(grid: VideoGrid, shape: ModelShape, step: StepInfo, control: PassControl): Promise<Tensor>;
  /** Frees what `understand` made. */
  release?(): void;
}

export interface StandInDecoder {
  decode(latents: Tensor): Iterable<Tensor>;
  dispose(): void;
}

export interface StandInFamily {
  transformer(device: Device, config: unknown, attention: AttentionDispatcher): StandInTransformer;
  decoder(device: Device, component: ComponentDescription, source: WeightSource): Promise<StandInDecoder>;
  encode(
    device: Device,
    component: ComponentDescription,
    source: WeightSource,
    rows: number,
    prompts: number,
  ): Promise<readonly Tensor[]>;
}

/** Middle of the noise schedule. */
const TIMESTEP = 500;

/** Decoders leave out the encoder's half of the weights, as pipelines do for text to video. */
const decoderHalf: LoadOptions = { only: (name) => !/^(encoder\.|quant_conv\.)/.test(name) };

async function decoder(
  device: Device,
  { className, ...component }: ComponentDescription,
  source: WeightSource,
): Promise<StandInDecoder> {
  const config = getModelClass(className).parseConfig(component.config);
  switch (className) {
    case "AutoencoderKLWan":
      return AutoencoderKLWan.load(device, source, config, decoderHalf);
    case "AutoencoderKLHunyuanVideo15":
      return AutoencoderKLHunyuanVideo15.load(device, source, config, decoderHalf);
    case "AutoencoderKLCogVideoX":
      return AutoencoderKLCogVideoX.load(device, source, config, decoderHalf);
    default:
      throw new ConfigError("UNKNOWN_CLASS", `no decoder is known by the name ${className}.`);
  }
}

async function encode(
  device: Device,
  { className, config }: ComponentDescription,
  source: WeightSource,
  rows: number,
  prompts: number,
): Promise<readonly Tensor[]> {
  const ids = new Uint32Array(rows).map((_, i) => i % 100);
  const Encoder = className.startsWith("Qwen") ? Qwen25VLTextModel : T5EncoderModel;
  return new Encoder(device, source, config).encode(Array.from({ length: prompts }, () => ids));
}

const wan: StandInFamily = {
  decoder,
  encode,
  transformer: (device, config, attention) => {
    const target = WanTransformer3DModel.create(device, config, { attention });
    return {
      target,
      forward: async (grid, shape, step, control) => {
        const { in_channels, text_dim } = target.config;
        const { latentFrames: T, latentHeight: h, latentWidth: w } = grid;
        const latents = device.zeros([1, in_channels, T, h, w]);
        const text = device.zeros([1, shape.rows.text ?? 512, text_dim]);
        try {
          const inputs = { latents, timestep: TIMESTEP, encoderHiddenStates: text, step, ...control };
          return await target.forward(inputs);
        } finally {
          latents.dispose();
          text.dispose();
        }
      },
    };
  },
};

const hunyuan: StandInFamily = {
  decoder,
  encode,
  transformer: (device, config, attention) => {
    const target = HunyuanVideo15Transformer3DModel.create(device, config, { attention });
    return {
      target,
      forward: async (grid, shape, step, control) => {
        const { in_channels, text_embed_dim, text_embed_2_dim } = target.config;
        const { latentFrames: T, latentHeight: h, latentWidth: w } = grid;
        const latents = device.zeros([1, in_channels, T, h, w]);
        const text = device.zeros([1, shape.rows.prompt ?? 1000, text_embed_dim]);
        const glyph = device.zeros([1, shape.rows.glyph ?? 256, text_embed_2_dim]);
        try {
          return await target.forward({
            latents,
            timestep: TIMESTEP,
            encoderHiddenStates: text,
            encoderHiddenStates2: glyph,
            step,
            ...control,
          });
        } finally {
          for (const one of [latents, text, glyph]) one.dispose();
        }
      },
    };
  },
};

const cogvideox: StandInFamily = {
  decoder,
  encode,
  transformer: (device, config, attention) => {
    const target = CogVideoXTransformer3DModel.create(device, config, { attention });
    return {
      target,
      forward: async (grid, shape, step, control) => {
        const { in_channels, text_embed_dim } = target.config;
        const { latentFramesPadded: T, latentHeight: h, latentWidth: w } = grid;
        const latents = device.zeros([1, T, in_channels, h, w]);
        const text = device.zeros([1, shape.rows.text ?? 226, text_embed_dim]);
        try {
          const inputs = { latents, timestep: TIMESTEP, encoderHiddenStates: text, step, ...control };
          return await target.forward(inputs);
        } finally {
          latents.dispose();
          text.dispose();
        }
      },
    };
  },
};

const cosmos3: StandInFamily = {
  decoder,
  encode,
  transformer: (device, config, attention) => {
    const target = Cosmos3OmniTransformer.create(device, config, { attention });
    let understandings: readonly Cosmos3Understanding[] = [];
    const release = () => {
      for (const one of understandings) one[Symbol.dispose]();
      understandings = [];
    };
    return {
      target,
      understand: async (source, shape, prompts) => {
        const ids = new Uint32Array(shape.rows.prompt ?? shape.rows.text ?? 512).map((_, i) => i % 100);
        release();
        understandings = await target.understand(source, Array<Uint32Array>(prompts).fill(ids));
      },
      forward: async (grid, _shape, step, control) => {
        const { latentFrames: T, latentHeight: h, latentWidth: w } = grid;
        const latents = device.zeros([1, target.config.latent_channel, T, h, w]);
        try {
          return await target.forward({
            latents,
            timestep: TIMESTEP,
            understanding: understandings[0]!,
            step,
            ...control,
          });
        } finally {
          latents.dispose();
        }
      },
      release,
    };
  },
};

/** @throws ConfigError `UNKNOWN_FAMILY` */
export function standInFamily(family: string): StandInFamily {
  const found = { wan, hunyuan, cogvideox, cosmos3 }[family];
  if (found) return found;
  throw new ConfigError("UNKNOWN_FAMILY", `no model family is known by the name ${family}.`);
}
