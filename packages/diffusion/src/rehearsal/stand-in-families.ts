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
import type { TileDecoder, VaeTiling } from "../models/autoencoders/tiling/vae-tiling.js";
import type { VideoGrid, VideoSize } from "../models/definition/video-grid.js";
import type { TokenRows, VideoModel } from "../models/definition/video-model.js";
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
import { encodeFrame } from "../pipelines/image-conditions.js";
import { isDecoder, isEncoder } from "../pipelines/pipeline-parts.js";
import { encodeEnds, normalized } from "../pipelines/wan/wan-image-condition.js";
import { tokenTimesteps } from "../pipelines/wan/wan-model-input.js";
import { HUNYUAN_VIDEO_15_CROP_START } from "../prompts/prompts-hunyuan.js";

/** What the four transformers have in common. */
interface LoadableTransformer extends AttentionTarget {
  computeDtype: FloatDType;
  load(source: WeightSource, options?: LoadOptions): Promise<void>;
  unload(): void;
}

/** Ids that the text encoders read of one prompt, as the pipeline tokenizes it. */
export interface PromptTokens {
  /** Of HunyuanVideo with the chat around the prompt. */
  readonly text: number;
  /** Of what the prompt quotes; 0 without a quote, and in families that do not look for any. */
  readonly glyph: number;
}

type Shapes = Readonly<Record<string, readonly number[]>>;

/** A pass, besides its tensors. */
export interface StandInPass {
  /** Which of the prompts. */
  readonly prompt: number;
  readonly hasImage: boolean;
  readonly latentChannels: number;
}

export interface StandInTransformer {
  readonly target: LoadableTransformer;
  /** Reads a prompt for each number of ids with the transformer's own weights, where a family does that. Before `load`. */
  understand?(source: WeightSource, rows: readonly number[]): Promise<void>;
  /** Shape of what is uploaded for each pass. */
  latents(grid: VideoGrid): readonly number[];
  /** What the pipeline keeps of a prompt while steps run; `tokens`: of a prompt that is known. */
  prompt(shape: ModelShape, tokens?: PromptTokens): Shapes;
  /** What it keeps of the picture that a video begins with. */
  picture(shape: ModelShape): Shapes;
  /** The prediction, the caller's, from tensors of these shapes. */
  forward(
    inputs: Readonly<Record<string, Tensor>>,
    pass: StandInPass,
    step: StepInfo,
    control: PassControl,
    /** What a second prediction of the same latents is conditioned on: both in one pass. */
    second?: Readonly<Record<string, Tensor>>,
  ): Promise<Tensor>;
  /** Frees what `understand` made. */
  release?(): void;
}

export interface StandInDecoder extends TileDecoder {
  tiling: VaeTiling | undefined;
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

/** Loads an autoencoder's encoder half and sends a picture through it: alone, or as the first of a clip of grey frames. */
export async function encodeFrames(
  device: Device,
  { className, ...component }: ComponentDescription,
  source: WeightSource,
  { height, width, numFrames }: VideoSize,
  tiling?: VaeTiling,
): Promise<void> {
  const config = getModelClass(className).parseConfig(component.config);
  const pixels = new Float32Array(3 * height * width);
  if (className === "AutoencoderKLWan") {
    const vae = await AutoencoderKLWan.load(device, source, config, { only: isEncoder });
    vae.tiling = tiling;
    const ends = { numFrames, height, width, first: pixels, last: undefined };
    const mean =
      numFrames === 1
        ? (await encodeFrame(device, vae, pixels, height, width)).mean
        : await encodeEnds(device, vae, ends, {});
    await normalized(device, vae, mean);
    vae.dispose();
    return;
  }
  const Vae = className === "AutoencoderKLCogVideoX" ? AutoencoderKLCogVideoX : AutoencoderKLHunyuanVideo15;
  const vae = await Vae.load(device, source, config, { only: isEncoder });
  vae.tiling = tiling;
  await encodeFrame(device, vae, pixels, height, width);
  vae.dispose();
}

/** Embeddings, the caller's, of a prompt for each number of token ids in `rows`. */
export async function encodeTokens(
  device: Device,
  { className, config }: ComponentDescription,
  source: WeightSource,
  rows: readonly number[],
): Promise<readonly Tensor[]> {
  const Encoder = className.startsWith("Qwen") ? Qwen25VLTextModel : T5EncoderModel;
  return new Encoder(device, source, config).encode(rows.map(idsOf));
}

/** Ids that a text encoder reads of the longest prompt; `rows` are the transformer's. */
export function encoderRows(name: string, { family }: Pick<VideoModel, "family">, rows: TokenRows): number {
  if (family !== "hunyuan") return rows.text ?? TEXT_ROWS;
  // The chat around the prompt is read and then dropped.
  return name === "text_encoder_2" ? rows.glyph! : rows.prompt! + HUNYUAN_VIDEO_15_CROP_START;
}

/** Where a definition does not say. */
const TEXT_ROWS = 512;

const wan: StandIn = (device, config, attention) => {
  const target = new WanTransformer3DModel(device, config, { attention });
  const { in_channels, text_dim, image_dim, pos_embed_seq_len: positions, patch_size } = target.config;
  // First and last image are two of a batch.
  const images = positions === null ? 1 : 2;
  return {
    target,
    latents: ({ latentFrames, latentHeight, latentWidth }) => [
      ...[1, in_channels, latentFrames, latentHeight, latentWidth],
    ],
    prompt: ({ rows }) => ({ encoderHiddenStates: [1, rows.text ?? TEXT_ROWS, text_dim] }),
    picture: ({ rows }) =>
      image_dim === null || rows.image === undefined
        ? {}
        : { encoderHiddenStatesImage: [images, rows.image / images, image_dim] },
    forward: (inputs, { hasImage, latentChannels }, step, control, second) => {
      const { latents, encoderHiddenStates, ...others } = inputs;
      const [, , frames, height, width] = latents!.shape as [number, number, number, number, number];
      const perFrame = (height / patch_size[1]) * (width / patch_size[2]);
      // The picture is the first frame itself where it has no channels beside it.
      const isFrame = hasImage && in_channels === latentChannels;
      return target.forward({
        ...{ ...others, step, ...control, latents: latents!, encoderHiddenStates: encoderHiddenStates! },
        second: second && { encoderHiddenStates: second.encoderHiddenStates! },
        timestep: isFrame ? tokenTimesteps(TIMESTEP, perFrame, frames) : TIMESTEP,
      });
    },
  };
};

const hunyuan: StandIn = (device, config, attention) => {
  const target = new HunyuanVideo15Transformer3DModel(device, config, { attention });
  const { in_channels, text_embed_dim, text_embed_2_dim, image_embed_dim, use_meanflow } = target.config;
  return {
    target,
    latents: ({ latentFrames, latentHeight, latentWidth }) => [
      ...[1, in_channels, latentFrames, latentHeight, latentWidth],
    ],
    prompt: ({ rows }, tokens) => {
      const text = tokens ? tokens.text - HUNYUAN_VIDEO_15_CROP_START : (rows.prompt ?? 1000);
      const glyph = tokens ? tokens.glyph : (rows.glyph ?? 256);
      return {
        encoderHiddenStates: [1, text, text_embed_dim],
        ...(glyph > 0 ? { encoderHiddenStates2: [1, glyph, text_embed_2_dim] } : {}),
      };
    },
    picture: ({ rows, configs }) =>
      configs.image_encoder ? { imageEmbeds: [1, rows.image ?? 729, image_embed_dim] } : {},
    forward: ({ latents, encoderHiddenStates, ...others }, _clip, step, control, second) =>
      target.forward({
        ...{ ...others, step, ...control, latents: latents!, encoderHiddenStates: encoderHiddenStates! },
        second: second && {
          encoderHiddenStates: second.encoderHiddenStates!,
          encoderHiddenStates2: second.encoderHiddenStates2,
        },
        timestep: TIMESTEP,
        ...(use_meanflow ? { timestepR: 0 } : {}),
      }),
  };
};

const cogvideox: StandIn = (device, config, attention) => {
  const target = new CogVideoXTransformer3DModel(device, config, { attention });
  const { in_channels, text_embed_dim } = target.config;
  return {
    target,
    latents: ({ latentFramesPadded, latentHeight, latentWidth }) => [
      ...[1, latentFramesPadded, in_channels, latentHeight, latentWidth],
    ],
    prompt: ({ rows }) => ({ encoderHiddenStates: [1, rows.text ?? 226, text_embed_dim] }),
    picture: () => ({}),
    forward: ({ latents, encoderHiddenStates }, _clip, step, control, second) =>
      target.forward({
        ...{ step, ...control, latents: latents!, encoderHiddenStates: encoderHiddenStates! },
        second: second && { encoderHiddenStates: second.encoderHiddenStates! },
        timestep: TIMESTEP,
      }),
  };
};

const cosmos3: StandIn = (device, config, attention) => {
  const target = new Cosmos3OmniTransformer(device, config, { attention });
  let understandings: readonly Cosmos3Understanding[] = [];
  const release = () => {
    for (const one of understandings) one[Symbol.dispose]();
    understandings = [];
  };
  return {
    target,
    understand: async (source, rows) => {
      release();
      understandings = await target.understand(source, rows.map(idsOf));
    },
    latents: ({ latentFrames, latentHeight, latentWidth }) => [
      ...[1, target.config.latent_channel, latentFrames, latentHeight, latentWidth],
    ],
    // What was understood stays where `understand` put it.
    prompt: () => ({}),
    picture: () => ({}),
    forward: ({ latents }, { prompt }, step, control, second) => {
      const text = (index: number) => ({ understanding: understandings[index] ?? understandings[0]! });
      return target.forward({
        ...{ step, ...control, latents: latents!, timestep: TIMESTEP, ...text(prompt) },
        second: second && text(prompt + 1),
      });
    },
    release,
  };
};

/** Of the one token that every vocabulary has, however small. */
function idsOf(rows: number): Uint32Array {
  return new Uint32Array(rows);
}

/** @throws ConfigError `UNKNOWN_FAMILY` */
export function standInTransformer(family: string): StandIn {
  const found = { wan, hunyuan, cogvideox, cosmos3 }[family];
  if (found) return found;
  throw new ConfigError("UNKNOWN_FAMILY", `no model family is known by the name ${family}.`);
}
