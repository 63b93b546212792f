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
import type { LatentFrames } from "../models/autoencoders/latent-frames.js";
import type { VideoGrid, VideoSize } from "../models/definition/video-grid.js";
import { VisionEncoder } from "../models/image-encoders/vision-encoder.js";
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
import { isDecoder, isEncoder } from "../pipelines/pipeline-parts.js";

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
  decode(latents: LatentFrames): Iterable<Tensor>;
  denormalize(latents: Tensor): Tensor;
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

/** Sends a picture of zeros through an image encoder, of which the first layers are enough. */
export async function encodePicture(
  device: Device,
  { className, config }: ComponentDescription,
  source: WeightSource,
): Promise<void> {
  const isSiglip = className.startsWith("Siglip");
  const open = isSiglip ? VisionEncoder.siglip : VisionEncoder.clipPenultimate;
  const encoder = open(device, source, config);
  const { image_size: size } = encoder.config;
  const pixels = { data: new Float32Array(3 * size * size), shape: [1, 3, size, size] };
  disposeTensors(await encoder.encode([pixels]));
}

/** Loads an autoencoder's encoder half and sends frames of zeros through it: one picture, or a clip of grey frames. */
export async function encodeFrames(
  device: Device,
  { className, ...component }: ComponentDescription,
  source: WeightSource,
  { height, width, numFrames }: VideoSize,
): Promise<void> {
  const config = getModelClass(className).parseConfig(component.config);
  if (className === "AutoencoderKLWan") {
    const vae = await AutoencoderKLWan.load(device, source, config, { only: isEncoder });
    const frames = (start: number, end: number) => device.zeros([end - start, height, width, 3]);
    (await vae.encodeFrames(numFrames, height, width, frames)).dispose();
    vae.dispose();
    return;
  }
  const Vae = className === "AutoencoderKLCogVideoX" ? AutoencoderKLCogVideoX : AutoencoderKLHunyuanVideo15;
  const vae = await Vae.load(device, source, config, { only: isEncoder });
  using video = device.zeros([1, 3, 1, height, width]);
  vae.encode(video).dispose();
  vae.dispose();
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

/** Runs `forward` on tensors of zeros of these shapes, and of those of `more` that are there, and frees them. */
async function onZeros<Name extends string, More extends string = never>(
  device: Device,
  shapes: Readonly<Record<Name, readonly number[]>>,
  forward: (inputs: Record<Name, Tensor> & Partial<Record<More, Tensor>>) => Promise<Tensor>,
  more?: Readonly<Partial<Record<More, readonly number[]>>>,
): Promise<Tensor> {
  const entries = Object.entries<readonly number[]>({ ...more, ...shapes }).map(([name, shape]) => [
    name,
    device.zeros(shape),
  ]);
  const inputs = Object.fromEntries(entries) as Record<Name, Tensor> & Partial<Record<More, Tensor>>;
  try {
    return await forward(inputs);
  } finally {
    disposeTensors(Object.fromEntries(entries) as Record<string, Tensor>);
  }
}

const wan: StandIn = (device, config, attention) => {
  const target = WanTransformer3DModel.create(device, config, { attention });
  return {
    target,
    forward: ({ latentFrames, latentHeight, latentWidth }, { rows }, step, control) => {
      const { in_channels, text_dim, image_dim, pos_embed_seq_len: positions } = target.config;
      // First and last image are two of a batch.
      const images = positions === null ? 1 : 2;
      const shapes = {
        latents: [1, in_channels, latentFrames, latentHeight, latentWidth],
        encoderHiddenStates: [1, rows.text ?? 512, text_dim],
      };
      return onZeros<keyof typeof shapes, "encoderHiddenStatesImage">(
        device,
        shapes,
        (inputs) => target.forward({ ...inputs, timestep: TIMESTEP, step, ...control }),
        image_dim === null || rows.image === undefined
          ? {}
          : { encoderHiddenStatesImage: [images, rows.image / images, image_dim] },
      );
    },
  };
};

const hunyuan: StandIn = (device, config, attention) => {
  const target = HunyuanVideo15Transformer3DModel.create(device, config, { attention });
  return {
    target,
    forward: ({ latentFrames, latentHeight, latentWidth }, { rows, configs }, step, control) => {
      const { in_channels, text_embed_dim, text_embed_2_dim, image_embed_dim } = target.config;
      const shapes = {
        latents: [1, in_channels, latentFrames, latentHeight, latentWidth],
        encoderHiddenStates: [1, rows.prompt ?? 1000, text_embed_dim],
        encoderHiddenStates2: [1, rows.glyph ?? 256, text_embed_2_dim],
      };
      return onZeros<keyof typeof shapes, "imageEmbeds">(
        device,
        shapes,
        (inputs) => target.forward({ ...inputs, timestep: TIMESTEP, step, ...control }),
        configs.image_encoder ? { imageEmbeds: [1, rows.image ?? 729, image_embed_dim] } : {},
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

/** Prompts of the one token that every vocabulary has, however small. */
function promptsOf(rows: number, prompts: number): Uint32Array[] {
  return Array.from({ length: prompts }, () => new Uint32Array(rows));
}

/** @throws ConfigError `UNKNOWN_FAMILY` */
export function standInTransformer(family: string): StandIn {
  const found = { wan, hunyuan, cogvideox, cosmos3 }[family];
  if (found) return found;
  throw new ConfigError("UNKNOWN_FAMILY", `no model family is known by the name ${family}.`);
}
