/**
 * A model of the catalog without its checkpoint, in the parts that cost time and memory: reading prompts, a forward
 * pass, decoding. To an adapter it looks like a pipeline.
 */

import {
  AttentionDispatcher,
  type AttentionTarget,
  type CheckpointGeometry,
  type StepInfo,
} from "@lvsa/core";
import { type Device, disposeTensors, type FloatDType, type Tensor, toRgbFrames } from "@lvsa/runtime";
import type { ComponentDescription, ModelDescription } from "../catalog/model-description.js";
import { type ModelShape, modelShape } from "../catalog/model-shape.js";
import { hostLatentFrames } from "../models/autoencoders/latent-frames.js";
import { type VideoGrid, videoGrid } from "../models/definition/video-grid.js";
import type { ImageSize } from "../models/definition/video-model.js";
import { getModelClass } from "../models/model-classes.js";
import type { PassControl } from "../models/transformers/run-blocks.js";
import { pacedChunks } from "../pipelines/paced-chunks.js";
import { readAhead } from "../pipelines/read-ahead.js";
import { RandomNumbers, randomWeights } from "./random-weights.js";
import {
  encodeFrames,
  encodePicture,
  encodeTokens,
  openDecoder,
  type StandInDecoder,
  type StandInTransformer,
  standInTransformer,
} from "./stand-in-families.js";

/** Storage type of activations between two additions to the residual stream. */
export type Precision = FloatDType & ("f32" | "f16");

export interface StandInModelOptions {
  /** Default: the model's own clip. */
  readonly numFrames?: number | undefined;
  /** Video frames that the transformer sees at once. Default: all. */
  readonly windowFrames?: number | undefined;
  readonly height?: number | undefined;
  readonly width?: number | undefined;
  /** Size of the image that the video begins with, for families that take the video's size from it. */
  readonly image?: ImageSize | undefined;
  /** Storage type between residual additions. Default f32. */
  readonly precision?: Precision | undefined;
  /** Layers of text encoders that run. Default 1; Infinity for all. */
  readonly encoderLayers?: number | undefined;
  /** Run the transformer in the memory of two blocks. Default false. */
  readonly offload?: boolean | undefined;
}

/** Video frames after which an encoder's memory is what it stays: one, and two chunks of four. */
const ENCODED_FRAMES = 9;

/** Owns what its parts load; dispose it. */
export class StandInModel {
  readonly family: string;
  readonly className: string;
  readonly device: Device;
  readonly attention = new AttentionDispatcher();
  readonly model: ModelDescription;
  /** Of the whole clip. */
  readonly grid: VideoGrid;
  /** Of what the transformer sees at once. */
  readonly seen: VideoGrid;
  readonly shape: ModelShape;
  readonly #transformer: StandInTransformer;
  readonly #encoderLayers: number;
  readonly #hasImage: boolean;
  readonly #isOffloaded: boolean;
  readonly #numbers = new RandomNumbers();
  #decoder: StandInDecoder | undefined;

  /** @throws ConfigError when the sizes do not fit the model */
  constructor(device: Device, model: ModelDescription, options: StandInModelOptions = {}) {
    this.device = device;
    this.model = model;
    this.family = model.family;
    this.className = model.pipelineClass;
    this.shape = modelShape(model);
    const { defaults } = model;
    const { definition, configs } = this.shape;
    const size = (options.image && definition.video.sizeOfImage?.(configs, options.image)) ?? defaults;
    const {
      numFrames = defaults.numFrames,
      height = size.height,
      width = size.width,
      precision = "f32",
      encoderLayers = 1,
      offload = false,
    } = options;
    this.grid = videoGrid({ numFrames, height, width }, this.shape.geometry);
    const { windowFrames = numFrames } = options;
    this.seen =
      windowFrames < numFrames
        ? videoGrid({ numFrames: windowFrames, height, width }, this.shape.geometry)
        : this.grid;
    this.#encoderLayers = encoderLayers;
    this.#hasImage = options.image !== undefined;
    this.#isOffloaded = offload;
    const { config } = model.components.transformer!;
    this.#transformer = standInTransformer(model.family)(device, config, this.attention);
    this.#transformer.target.computeDtype = precision;
  }

  get transformers(): readonly AttentionTarget[] {
    return [this.#transformer.target];
  }

  get geometry(): CheckpointGeometry {
    const { vaeSpatial, vaeTemporal, referenceTokenFrames, lvsa } = this.shape.geometry;
    return {
      ...(lvsa ? { lvsa } : {}),
      spatialFactor: vaeSpatial,
      temporalFactor: vaeTemporal,
      referenceLatentFrames: referenceTokenFrames,
      transformerConfig: this.shape.configs.transformer!,
    };
  }

  /** Names of the components that read prompts; of two-stream models that is the transformer. */
  get encoders(): readonly string[] {
    if (this.#transformer.understand) return ["transformer"];
    return Object.entries(this.model.components)
      .filter(([, { className }]) => getModelClass(className).role === "text encoder")
      .map(([name]) => name);
  }

  /**
   * Lets one of `encoders` read a prompt (two, where guidance asks for two at once) of the length that the pipeline
   * pads to.
   */
  async encode(name: string, prompts = 1): Promise<void> {
    const component = this.model.components[name]!;
    if (name === "transformer") {
      await this.#transformer.understand!(randomWeights(component, this.#numbers), this.shape, prompts);
      return;
    }
    const rows = this.shape.rows.prompt ?? this.shape.rows.text ?? 256;
    const shortened = withLayers(component, this.#encoderLayers);
    const embeds = await encodeTokens(
      this.device,
      shortened,
      randomWeights(shortened, this.#numbers),
      rows,
      prompts,
    );
    disposeTensors([...embeds]);
  }

  /** Whether the video begins with an image: the checkpoint asks for one, or the caller has one. */
  get encodesImage(): boolean {
    return this.model.task === "image-to-video" || this.#hasImage;
  }

  /** Sends a picture through the image encoder, where there is one, as `encode` does with prompts. */
  async encodeImage(): Promise<void> {
    const encoder = Object.values(this.model.components).find(
      ({ className }) => getModelClass(className).role === "image encoder",
    );
    if (!encoder) return;
    // CLIP's last layer does not run.
    const shortened = withLayers(encoder, this.#encoderLayers + 1);
    await encodePicture(this.device, shortened, randomWeights(shortened, this.#numbers));
  }

  /** Sends the picture through the autoencoder's encoder half; of a clip of grey frames, as Wan has it, the first chunks. */
  async encodeFrames(): Promise<void> {
    const component = this.model.components.vae!;
    const { height, width, numFrames, latentChannels } = this.grid;
    const { transformerInChannels } = this.shape.geometry;
    const isClip = this.family === "wan" && transformerInChannels > latentChannels;
    const size = { height, width, numFrames: isClip ? Math.min(numFrames, ENCODED_FRAMES) : 1 };
    await encodeFrames(this.device, component, randomWeights(component, this.#numbers), size);
  }

  /** Puts the transformer's weights onto the GPU; with `offload` those of its blocks come while it runs. */
  async loadTransformer(onProgress?: (loadedBytes: number) => void): Promise<void> {
    const source = randomWeights(this.model.components.transformer!, this.#numbers);
    await this.#transformer.target.load(source, {
      ...(onProgress ? { onProgress } : {}),
      // Random weights lie in memory.
      ...(this.#isOffloaded ? { offload: { readsAhead: false } } : {}),
    });
  }

  /** One forward pass, as the pipeline runs it for one prediction; reads the prediction back. */
  async forward(step: StepInfo, control: PassControl = {}): Promise<Float32Array> {
    const output = await this.#transformer.forward(this.seen, this.shape, step, control);
    try {
      return await this.device.read(output);
    } finally {
      output.dispose();
    }
  }

  unloadTransformer(): void {
    this.#transformer.release?.();
    this.#transformer.target.unload();
  }

  async loadDecoder(): Promise<void> {
    const component = this.model.components.vae!;
    this.#decoder ??= await openDecoder(this.device, component, randomWeights(component, this.#numbers));
  }

  /**
   * Decodes latents of the clip as pipelines do; chunks belong to the receiver.
   * `loadDecoder` comes first.
   */
  async *decode(latentFrames = this.grid.latentFrames): AsyncGenerator<Tensor, void, undefined> {
    const { latentChannels } = this.shape.geometry;
    const { latentHeight, latentWidth } = this.grid;
    const shape = [1, latentChannels, latentFrames, latentHeight, latentWidth];
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    const decoder = this.#decoder!;
    const latents = hostLatentFrames(this.device, { data, shape }, (x) => decoder.denormalize(x));
    yield* pacedChunks(this.device, decoder.decode(latents));
  }

  /** RGB bytes of each chunk, read as pipelines read them: while the next is on its way. */
  async *decodeBytes(): AsyncGenerator<{ frames: number; bytes: Uint8Array }, void, undefined> {
    yield* readAhead(this.decode(), async (chunk) => {
      const read = () => {
        using decoded = chunk;
        using rgb = toRgbFrames(this.device, decoded);
        return this.device.readBytes(rgb);
      };
      return { frames: chunk.dim(1), bytes: await read() };
    });
  }

  dispose(): void {
    this.unloadTransformer();
    this.#decoder?.dispose();
    this.#decoder = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The component with at most `layers` layers. */
function withLayers(component: ComponentDescription, layers: number): ComponentDescription {
  const config: Record<string, unknown> = {
    ...getModelClass(component.className).parseConfig(component.config),
  };
  for (const key of ["num_layers", "num_hidden_layers"]) {
    if (typeof config[key] === "number") config[key] = Math.min(layers, config[key]);
  }
  const text = config.text_config as Record<string, unknown> | undefined;
  if (text && typeof text.num_hidden_layers === "number") {
    config.text_config = { ...text, num_hidden_layers: Math.min(layers, text.num_hidden_layers) };
  }
  return { ...component, config };
}
