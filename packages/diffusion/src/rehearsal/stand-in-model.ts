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
import {
  type Device,
  disposeTensors,
  type FloatDType,
  type Tensor,
  toRgbFrames,
  type WeightSource,
} from "@lvsa/runtime";
import type { ComponentDescription, ModelDescription } from "../catalog/model-description.js";
import { type ModelShape, modelShape } from "../catalog/model-shape.js";
import { hostLatentFrames } from "../models/autoencoders/latent-frames.js";
import type { VaeTilingOptions } from "../models/autoencoders/tiling/tile-sizes.js";
import type { VaeTiling } from "../models/autoencoders/tiling/vae-tiling.js";
import { type VideoGrid, videoGrid } from "../models/definition/video-grid.js";
import type { ImageSize } from "../models/definition/video-model.js";
import { getModelClass } from "../models/model-classes.js";
import type { PassControl } from "../models/transformers/run-blocks.js";
import { pacedChunks } from "../pipelines/paced-chunks.js";
import { readAhead } from "../pipelines/read-ahead.js";
import { BranchBlocks } from "../step-cache/block-cache.js";
import { CalibrationDecider } from "../step-cache/calibration.js";
import { type Decider, FirstBlockDecider } from "../step-cache/decisions.js";
import type { StepCacheOptions } from "../step-cache/step-cache-options.js";
import { type MergedTensors, RandomNumbers, randomWeights } from "./random-weights.js";
import {
  encodeFrames,
  encodePicture,
  encoderRows,
  encodeTokens,
  openDecoder,
  type PromptTokens,
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
  /** Prompts of a step: two with guidance. Default 1. */
  readonly prompts?: number | undefined;
  /** Of each prompt, where they are known. Default: as many as the pipeline fills up to, or cuts to. */
  readonly tokens?: readonly PromptTokens[] | undefined;
  /** Two prompts in one pass: guidance as a batch of two. Default false. */
  readonly guidanceBatch?: boolean | undefined;
  /** A cache of steps that keeps what blocks changed. */
  readonly stepCache?: StepCacheOptions["name"] | undefined;
  /** As `PipelineOptions.vaeTiling`. Default false. */
  readonly vaeTiling?: boolean | VaeTilingOptions | undefined;
  /** Of an autoencoder's tiles one of each size, with few frames: enough to know what they need. Default false. */
  readonly areTilesAbridged?: boolean | undefined;
  /** Tensors of the transformers that LoRAs change. */
  readonly merged?: MergedTensors | undefined;
}

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
  #tiling: VaeTiling | undefined;
  readonly #options: StandInModelOptions;
  /** What the pipeline keeps on the GPU while steps run, for each prompt. */
  #conditions: readonly Readonly<Record<string, Tensor>>[] = [];
  #blockCaches: readonly BranchBlocks[] = [];
  #decoder: StandInDecoder | undefined;

  /** @throws ConfigError when the sizes do not fit the model */
  constructor(device: Device, model: ModelDescription, options: StandInModelOptions = {}) {
    this.device = device;
    this.model = model;
    this.#options = options;
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

  /** Lets one of `encoders` read the prompts, all at once. */
  async encode(name: string): Promise<void> {
    const component = this.model.components[name]!;
    const { tokens } = this.#options;
    const longest = encoderRows(name, this.shape.definition.video, this.shape.rows);
    const known = tokens?.map(({ text, glyph }) => (name === "text_encoder_2" ? glyph : text));
    const rows = (known ?? Array.from({ length: this.#prompts }, () => longest)).filter((count) => count > 0);
    // Without a quote there is no text for this encoder.
    if (rows.length === 0) return;
    if (name === "transformer") {
      await this.#transformer.understand!(this.#transformerWeights(), rows);
      return;
    }
    const shortened = withLayers(component, this.#encoderLayers);
    const embeds = await encodeTokens(this.device, shortened, randomWeights(shortened, this.#numbers), rows);
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

  /** Sends the picture through the autoencoder's encoder half; Wan's has grey frames behind it. */
  async encodeFrames(): Promise<void> {
    const component = this.model.components.vae!;
    const { height, width, numFrames, latentChannels } = this.grid;
    const { transformerInChannels } = this.shape.geometry;
    const isClip = this.family === "wan" && transformerInChannels > latentChannels;
    const size = { height, width, numFrames: isClip ? numFrames : 1 };
    const tiling = await this.#openTiling();
    await encodeFrames(this.device, component, randomWeights(component, this.#numbers), size, tiling);
  }

  /** Puts the transformer's weights onto the GPU; with `offload` those of its blocks come while it runs. */
  async loadTransformer(onProgress?: (loadedBytes: number) => void): Promise<void> {
    this.#upload();
    await this.#transformer.target.load(this.#transformerWeights(), {
      ...(onProgress ? { onProgress } : {}),
      // Random weights lie in memory.
      ...(this.#isOffloaded ? { offload: { readsAhead: false } } : {}),
    });
  }

  /** One forward pass, as the pipeline runs it for the prediction of one prompt, or of both; reads them back. */
  async forward(step: StepInfo, control: PassControl = {}, prompt = 0): Promise<Float32Array> {
    const { device, seen } = this;
    const blockCache = this.#blockCaches[prompt]?.begin({ index: step.index, heard: () => {} });
    const { latentChannels } = this.shape.geometry;
    const pass = { prompt, hasImage: this.#hasImage, latentChannels };
    using latents = device.zeros(this.#transformer.latents(seen));
    const inputs = { ...this.#conditions[prompt], latents };
    const how = { ...control, blockCache };
    const second = this.#isBatched ? this.#conditions[1] : undefined;
    using output = await this.#transformer.forward(inputs, pass, step, how, second);
    return await device.read(output);
  }

  /** Passes of a step: one, unless each of the prompts takes memory of its own. */
  get passes(): number {
    const { tokens, stepCache } = this.#options;
    return !this.#isBatched && (tokens || stepCache) ? this.#prompts : 1;
  }

  get #isBatched(): boolean {
    return this.#options.guidanceBatch === true && this.#prompts > 1;
  }

  get #prompts(): number {
    return this.#options.tokens?.length ?? this.#options.prompts ?? 1;
  }

  #transformerWeights(): WeightSource {
    return randomWeights(this.model.components.transformer!, this.#numbers, this.#options.merged);
  }

  /** What the pipeline uploads before the first step. */
  #upload(): void {
    const { device, shape } = this;
    const { tokens, stepCache } = this.#options;
    const zeros = (shapes: Readonly<Record<string, readonly number[]>>) =>
      Object.fromEntries(Object.entries(shapes).map(([name, one]) => [name, device.zeros(one)]));
    const picture = this.encodesImage ? zeros(this.#transformer.picture(shape)) : {};
    this.#conditions = Array.from({ length: this.#prompts }, (_, prompt) => ({
      ...picture,
      ...zeros(this.#transformer.prompt(shape, tokens?.[prompt])),
    }));
    if (stepCache === undefined || stepCache === "easycache") return;
    this.#blockCaches = this.#conditions.map(() => new BranchBlocks(device, neverReuses(stepCache)));
  }

  unloadTransformer(): void {
    this.#transformer.release?.();
    for (const tensors of this.#conditions) disposeTensors(tensors);
    this.#conditions = [];
    for (const cache of this.#blockCaches) cache.dispose();
    this.#blockCaches = [];
    this.#transformer.target.unload();
  }

  /** The code of tiles is loaded where they are asked for. */
  async #openTiling(): Promise<VaeTiling | undefined> {
    const { vaeTiling, areTilesAbridged = false } = this.#options;
    if (!vaeTiling) return undefined;
    const { standInTiling } = await import("./stand-in-tiles.js");
    this.#tiling ??= standInTiling(this.model.components.vae!, vaeTiling, areTilesAbridged);
    return this.#tiling;
  }

  /** Sizes of the loaded decoder's tiles; null where the picture is not cut, undefined where nobody asked. */
  get vaeTiling(): string | null | undefined {
    return this.#tiling?.used(this.grid);
  }

  async loadDecoder(): Promise<void> {
    const component = this.model.components.vae!;
    this.#decoder ??= await openDecoder(this.device, component, randomWeights(component, this.#numbers));
    this.#decoder.tiling = await this.#openTiling();
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
    const tiles = decoder.tiling?.decode(this.device, decoder, latents);
    const chunks = tiles ?? decoder.decode(decoder.prepare ? await decoder.prepare(latents, {}) : latents);
    yield* pacedChunks(this.device, chunks);
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

/** Every pass is computed, and what the cache keeps of it is there. */
function neverReuses(name: StepCacheOptions["name"]): Decider {
  if (name === "calibrate") return new CalibrationDecider([]);
  // No change is smaller than this.
  if (name === "first-block") return new FirstBlockDecider(-1);
  const decision = { reuse: false, value: null };
  return { next: () => decision, state: () => ({}), restore: () => {} };
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
