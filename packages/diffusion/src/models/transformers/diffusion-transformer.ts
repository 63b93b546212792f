/**
 * What every video diffusion transformer is besides its layers: a definition with a parsed configuration, weights that
 * come and go, blocks, and rotary tables of its grid. A family's class adds its layers and the forward pass.
 *
 * Residual streams are f32, whose values exceed the f16 range; with `computeDtype` f16 everything between two additions
 * to them is stored as f16. One video at a time: a pass makes one prediction of it, or two (`predictions.ts`).
 */
import {
  AttentionDispatcher,
  type AttentionModule,
  type AttentionTarget,
  type RotaryTables,
  type StepInfo,
  type TemporalFrequencies,
  type VideoGeometry,
} from "@lvsa/core";
import type { Device, FloatDType, Tensor, WeightSource } from "@lvsa/runtime";
import type { VideoModelDefinition } from "../definition/define-model.js";
import { ModelWeights } from "../definition/model-weights.js";
import type { ResolvedConfig } from "../definition/resolved-config.js";
import type { ModelFamily } from "../definition/video-model.js";
import { integerPositions, type RotaryGrid, rotaryGrid } from "../embeddings.js";
import { type LoadOptions, Parameters } from "../parameters.js";
import { RotaryCache } from "../rotary-cache.js";
import { BlockWeights } from "./block-weights.js";
import type { Tap } from "./forward-hooks.js";
import type { PassControl } from "./run-blocks.js";

export interface TransformerOptions {
  /** What runs its attention. Default: one of its own, dense. */
  readonly attention?: AttentionDispatcher | undefined;
  /** Folder of the checkpoint; begins its layers' names and is named in errors. Default `transformer`. */
  readonly name?: string | undefined;
}

/** What forward passes of all families take. */
export interface ForwardInputs extends PassControl {
  /** f32; the class says in which order of axes. */
  readonly latents: Tensor;
  /** Latent frames whose content is given (image to video), for sparse attention. Default: none. */
  readonly conditionFrames?: readonly number[] | undefined;
  readonly step?: StepInfo | undefined;
  readonly tap?: Tap | undefined;
}

export abstract class DiffusionTransformer<Config extends ResolvedConfig> implements AttentionTarget {
  readonly family: ModelFamily;
  readonly config: Config;
  readonly attention: AttentionDispatcher;
  /** Storage type between residual additions. */
  computeDtype: FloatDType = "f32";
  /** Set to change the time axis of the rotary embedding, where there is a `temporalDim`; takes effect at the next forward pass. */
  temporalFrequencies: TemporalFrequencies | undefined;
  protected readonly device: Device;
  protected readonly name: string;
  protected readonly parameters: Parameters;
  protected readonly weights: BlockWeights;
  readonly #definition: VideoModelDefinition<Config>;
  readonly #rotary: RotaryCache;

  /** A model without weights yet, see `load`; `config` is the parsed `config.json`. @throws ConfigError */
  constructor(
    device: Device,
    definition: VideoModelDefinition<Config>,
    config: unknown,
    { attention = new AttentionDispatcher(), name = "transformer" }: TransformerOptions = {},
  ) {
    this.config = definition.configToRun(config, `${name}/config.json`);
    this.family = definition.video.family;
    this.attention = attention;
    this.device = device;
    this.name = name;
    this.parameters = new Parameters(device);
    const { layers } = definition.video.attention({ transformer: this.config }, {});
    this.weights = new BlockWeights(this.parameters, definition, layers);
    this.#definition = definition;
    this.#rotary = new RotaryCache(device);
  }

  /** All attention layers that adapters may claim. */
  abstract attentionModules(): AttentionModule[];

  /** Token grid of latents. @throws ShapeError when they do not fit channels or patch size */
  abstract geometry(latents: Tensor, conditionFrames?: readonly number[]): VideoGeometry;

  /** Channels of a head that encode time; what `temporalFrequencies` changes. */
  get temporalDim(): number | undefined {
    return undefined;
  }

  /**
   * Checks the weights against the definition and streams them onto the GPU, unless they are there. Of a model with
   * parts that run apart, those that its forward pass needs.
   *
   * @throws WeightsError, AbortError
   */
  async load(source: WeightSource, options: LoadOptions = {}): Promise<void> {
    if (this.isLoaded) return;
    const own = { ...options, only: options.only ?? this.#definition.isResident };
    await this.weights.load(ModelWeights.check(this.#definition, this.config, source, own), own);
  }

  get isLoaded(): boolean {
    return this.weights.isLoaded;
  }

  /** Frees weights and tables; `load` brings them back. */
  unload(): void {
    this.#rotary[Symbol.dispose]();
    this.weights.unload();
  }

  dispose(): void {
    this.unload();
  }

  /** One of what `make` returns for each block; `path` is its place in the model, e.g. `blocks.3.`. */
  protected eachBlock<Block>(
    list: string,
    make: (path: string, index: number, parameters: Parameters) => Block,
    store = this.parameters,
  ): Block[] {
    return Array.from({ length: this.weights.count }, (_, index) => {
      const path = `${list}.${index}.`;
      return make(path, index, store.scoped(path));
    });
  }

  /** Rotary tables of a grid, kept until it or `temporalFrequencies` changes. */
  protected rotaryTables(
    { latentFrames, height, width }: VideoGeometry,
    build: (change: TemporalFrequencies | undefined) => RotaryGrid,
  ): RotaryTables {
    const change = this.temporalFrequencies;
    return this.#rotary.tables(`${latentFrames}x${height}x${width}`, change, () => build(change));
  }

  /** `rotaryTables` of positions that count tokens, by the frequencies of each axis. */
  protected gridTables(
    geometry: VideoGeometry,
    frequencies: () => Record<"time" | "height" | "width", Float64Array>,
  ): RotaryTables {
    return this.rotaryTables(geometry, (change) => {
      const { time, height, width } = frequencies();
      return rotaryGrid(
        { positions: integerPositions(geometry.latentFrames), frequencies: change?.(time) ?? time },
        { positions: integerPositions(geometry.height), frequencies: height },
        { positions: integerPositions(geometry.width), frequencies: width },
      );
    });
  }
}
