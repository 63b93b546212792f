/** How each family's parts are made and fed without a checkpoint: inputs of the pipeline's shapes, without prompts. */
import type { AttentionDispatcher, AttentionTarget, StepInfo } from "@lvsa/core";
import {
  ConfigError,
  type Device,
  disposeTensors,
  type FloatDType,
  type Tensor,
  type WeightSource,
} from "@lvsa/runtime";
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
import { isDecoder } from "../pipelines/pipeline-parts.js";

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

/** Makes a family's transformer over `attention`, without weights. */
type StandIn = (device: Device, config: unknown, attention: AttentionDispatcher) => StandInTransformer;

/** Middle of the noise schedule. */
const TIMESTEP = 500;

/** Decoders alone are loaded, as pipelines do for text to video. @throws ConfigError `UNKNOWN_CLASS` */
export async function openDecoder(
  device: Device,
  { className, ...component }: ComponentDescription,
  source: WeightSource,
): Promise<StandInDecoder> {
  const config = getModelClass(className).parseConfig(component.config);
  switch (className) {
    case "AutoencoderKLWan":
      return AutoencoderKLWan.load(device, source, config, { only: isDecoder });
    case "AutoencoderKLHunyuanVideo15":
      return AutoencoderKLHunyuanVideo15.load(device, source, config, { only: isDecoder });
    case "AutoencoderKLCogVideoX":
      return AutoencoderKLCogVideoX.load(device, source, config, { only: isDecoder });
    default:
      throw new ConfigError("UNKNOWN_CLASS", `no decoder is known by the name ${className}.`);
  }
}

/** Embeddings, the caller's, of `prompts` prompts of `rows` tokens. */
export async function encodeTokens(
  device: Device,
  { className, config }: ComponentDescription,
  source: WeightSource,
  rows: number,
  prompts: number,
): Promise<readonly Tensor[]> {
  const Encoder = className.startsWith("Qwen") ? Qwen25VLTextModel : T5EncoderModel;
  return new Encoder(device, source, config).encode(promptsOf(rows, prompts));
}

/** Runs `forward` on tensors of zeros of these shapes, and frees them. */
async function onZeros<Name extends string>(
  device: Device,
  shapes: Readonly<Record<Name, readonly number[]>>,
  forward: (inputs: Record<Name, Tensor>) => Promise<Tensor>,
): Promise<Tensor> {
  const entries = Object.entries<readonly number[]>(shapes).map(([name, shape]) => [
    name,
    device.zeros(shape),
  ]);
  const inputs = Object.fromEntries(entries) as Record<Name, Tensor>;
  try {
    return await forward(inputs);
  } finally {
    disposeTensors(inputs);
  }
}

const wan: StandIn = (device, config, attention) => {
  const target = WanTransformer3DModel.create(device, config, { attention });
  return {
    target,
    forward: ({ latentFrames, latentHeight, latentWidth }, { rows }, step, control) => {
      const { in_channels, text_dim } = target.config;
      const shapes = {
        latents: [1, in_channels, latentFrames, latentHeight, latentWidth],
        encoderHiddenStates: [1, rows.text ?? 512, text_dim],
      };
      return onZeros(device, shapes, (inputs) =>
        target.forward({ ...inputs, timestep: TIMESTEP, step, ...control }),
      );
    },
  };
};

const hunyuan: StandIn = (device, config, attention) => {
  const target = HunyuanVideo15Transformer3DModel.create(device, config, { attention });
  return {
    target,
    forward: ({ latentFrames, latentHeight, latentWidth }, { rows }, step, control) => {
      const { in_channels, text_embed_dim, text_embed_2_dim } = target.config;
      const shapes = {
        latents: [1, in_channels, latentFrames, latentHeight, latentWidth],
        encoderHiddenStates: [1, rows.prompt ?? 1000, text_embed_dim],
        encoderHiddenStates2: [1, rows.glyph ?? 256, text_embed_2_dim],
      };
      return onZeros(device, shapes, (inputs) =>
        target.forward({ ...inputs, timestep: TIMESTEP, step, ...control }),
      );
    },
  };
};

const cogvideox: StandIn = (device, config, attention) => {
  const target = CogVideoXTransformer3DModel.create(device, config, { attention });
  return {
    target,
    forward: ({ latentFramesPadded, latentHeight, latentWidth }, { rows }, step, control) => {
      const { in_channels, text_embed_dim } = target.config;
      const shapes = {
        latents: [1, latentFramesPadded, in_channels, latentHeight, latentWidth],
        encoderHiddenStates: [1, rows.text ?? 226, text_embed_dim],
      };
      return onZeros(device, shapes, (inputs) =>
        target.forward({ ...inputs, timestep: TIMESTEP, step, ...control }),
      );
    },
  };
};

const cosmos3: StandIn = (device, config, attention) => {
  const target = Cosmos3OmniTransformer.create(device, config, { attention });
  let understandings: readonly Cosmos3Understanding[] = [];
  const release = () => {
    for (const one of understandings) one[Symbol.dispose]();
    understandings = [];
  };
  return {
    target,
    understand: async (source, { rows }, prompts) => {
      release();
      understandings = await target.understand(source, promptsOf(rows.prompt ?? rows.text ?? 512, prompts));
    },
    forward: ({ latentFrames, latentHeight, latentWidth }, _shape, step, control) => {
      const shapes = { latents: [1, target.config.latent_channel, latentFrames, latentHeight, latentWidth] };
      const understanding = understandings[0]!;
      return onZeros(device, shapes, (inputs) =>
        target.forward({ ...inputs, timestep: TIMESTEP, understanding, step, ...control }),
      );
    },
    release,
  };
};

/** Token ids of prompts that are all alike. */
function promptsOf(rows: number, prompts: number): Uint32Array[] {
  const ids = new Uint32Array(rows).map((_, i) => i % 100);
  return Array.from({ length: prompts }, () => ids);
}

/** @throws ConfigError `UNKNOWN_FAMILY` */
export function standInTransformer(family: string): StandIn {
  const found = { wan, hunyuan, cogvideox, cosmos3 }[family];
  if (found) return found;
  throw new ConfigError("UNKNOWN_FAMILY", `no model family is known by the name ${family}.`);
}
