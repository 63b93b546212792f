/** What all pipelines have in common: options, progress, results. */
import type { AttentionDispatcher, HostPipeline } from "@lvsa/core";
import type { Device, FolderReader, MemoryReport } from "@lvsa/runtime";
import type { LoraOptions } from "../lora/lora-set.js";
import type { VaeTilingOptions } from "../models/autoencoders/tiling/tile-sizes.js";
import type { VideoSize } from "../models/definition/video-grid.js";
import type { ModelDefaults } from "../models/definition/video-model.js";
import type { BlockOffload } from "../models/parameters.js";
import type { LatentPreview } from "../preview/latent-preview.js";
import type { Seed } from "../random/index.js";
import type { RunState } from "../run-state/run-state.js";
import type { RunSettings } from "../run-state/stateful.js";
import type { StepCacheReport } from "../step-cache/step-cache.js";
import type { StepCacheOptions } from "../step-cache/step-cache-options.js";
import type { HostTensor } from "./host-tensor.js";
import type { ParallelOptions } from "./parallel-run.js";

/** Storage type between residual additions: `auto` is f16 on GPUs that have it, else f32. */
export type Precision = "auto" | "f32" | "f16";

export type { HostTensor } from "./host-tensor.js";

/** As in `scheduler_config.json`. */
export interface SchedulerSettings {
  readonly _class_name: string;
  readonly [key: string]: unknown;
}

/** An image as rows of RGB bytes. */
export interface RgbImage {
  /** `[height, width, 3]` */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** For the result's metadata: a name without its folder. */
  readonly name?: string;
  /** For the result's metadata: of the file, in hexadecimal digits. */
  readonly sha256?: string;
}

/** What the video shows from a frame on, until the next segment begins. */
export interface PromptSegment {
  /** Video frame; 0 for the first segment. */
  readonly fromFrame: number;
  readonly prompt: string;
}

/**
 * Names and meanings as in diffusers; what is left out (or undefined) takes the pipeline's defaults. Each family takes
 * those that it has a use for, and refuses the others: see `docs/options.md`.
 */
export interface GenerateOptions {
  /** What the video shows. Needed unless `promptEmbeds` or `prompts` are given. */
  readonly prompt?: string;
  /** What it should not show; used where guidance is on. */
  readonly negativePrompt?: string;
  /** The text encoder's result `[1, rows, width]` instead of `prompt`, real rows only where the family masks padding. */
  readonly promptEmbeds?: HostTensor;
  /** Instead of `negativePrompt`. */
  readonly negativePromptEmbeds?: HostTensor;
  /** HunyuanVideo: the glyph encoder's result beside `promptEmbeds`. */
  readonly promptEmbeds2?: HostTensor;
  /** Beside `negativePromptEmbeds`. */
  readonly negativePromptEmbeds2?: HostTensor;
  /** Video frames. */
  readonly numFrames?: number;
  /**
   * Video frames of one window: the model sees this many at a time, and their predictions are blended where windows
   * overlap, so that a clip of any length takes the GPU memory of one window. On the model's grid, as `numFrames`. Default:
   * the whole clip at once.
   */
  readonly windowFrames?: number;
  /** Video frames that neighbouring windows share, a whole number of latent frames. Default: about a quarter of the window. */
  readonly windowOverlap?: number;
  /** Instead of `prompt`, with `windowFrames`: each window has the prompt of the segment in which its middle lies. */
  readonly prompts?: readonly PromptSegment[];
  /** Pixels. */
  readonly height?: number;
  /** Pixels. */
  readonly width?: number;
  readonly numInferenceSteps?: number;
  /** 0 or more. 1 turns guidance off; so does less with Wan and CogVideoX. */
  readonly guidanceScale?: number;
  /** For the second transformer of two-stage Wan; default `guidanceScale`. */
  readonly guidanceScale2?: number;
  /** CogVideoX: guidance that changes from step to step, up to `guidanceScale` + 1 (diffusers' `use_dynamic_cfg`). Default false. */
  readonly useDynamicGuidance?: boolean;
  /**
   * Both predictions of a guided step in one pass of the transformer, in a batch of two: streamed blocks are read once
   * instead of twice, with more memory; where weights stay on the GPU it is no faster. The numbers are those of two passes. Not with `stepCache` or on several ranks.
   * Default false.
   */
  readonly guidanceBatch?: boolean;
  /** Shift of the noise schedule; default: the checkpoint's. */
  readonly flowShift?: number;
  /**
   * Another scheduler than the checkpoint's: a class by name, with the checkpoint's configuration and shift, or a whole
   * configuration with its `_class_name`.
   */
  readonly scheduler?: string | SchedulerSettings;
  /** Noise levels before the shift, one for each step, from 1 down (diffusers' `sigmas`); default: the scheduler's. */
  readonly sigmas?: readonly number[];
  /** Settings that a few-step model was distilled for, by name: see `samplingPresets`. Options that it sets must agree. */
  readonly preset?: string;
  /**
   * Uses what the model computed in earlier steps where little has changed: `easycache` (every model), `magcache`,
   * `first-block`, `teacache` (Wan 2.1), with `:threshold` behind the name, or with all numbers as an object.
   */
  readonly stepCache?: string | StepCacheOptions;
  /** Two-stage Wan: steps of the first transformer; default: by the checkpoint's `boundary_ratio`. */
  readonly boundaryStepIndex?: number;
  /**
   * The numbers of `torch.Generator("cpu").manual_seed(seed)`: any integer from -2^63 to 2^64 - 1, from 2^53 on as a
   * bigint. Default: a random seed, reported in the result.
   */
  readonly seed?: Seed;
  /** Frames per second of the result, at most 1000. */
  readonly fps?: number;
  /** Tokens; longer prompts are cut, which is noted. */
  readonly maxSequenceLength?: number;
  /** Initial noise in the family's own layout instead of noise from the seed. */
  readonly initialLatents?: HostTensor;
  /**
   * First frame (image-to-video checkpoints), of any size: it is resized as in the family's diffusers pipeline.
   * HunyuanVideo takes the video's size from it, unless one is given.
   */
  readonly image?: RgbImage;
  /** Last frame, where the model takes one. */
  readonly lastImage?: RgbImage;
  /** Wan 2.1: the image encoder's result `[1, rows, width]` (`[2, rows, width]` for first and last image) instead of its run. */
  readonly imageEmbeds?: HostTensor;
  /** Stops the generation, and the decoding of its frames, with `AbortError`, whose `cause` is the signal's reason. */
  readonly signal?: AbortSignal;
  readonly onStep?: (report: StepReport) => void;
  /** Hears which part is at work: loading, encoding the prompt, decoding. */
  readonly onStage?: (report: StageReport) => void;
  /**
   * Hears the state after every step, and the next step waits for the promise it may return: write it somewhere
   * (`encodeRunState`), and the run survives the process.
   */
  readonly onState?: (state: RunState) => Promise<void> | void;
  /**
   * Goes on after the state's last step, with the options that the run began with, to bit-identical latents on the same
   * device and checkpoint. Seed and initial latents are those of the state.
   */
  readonly resumeFrom?: RunState;
  /** For tests and tools: hears predictions and latents of every step. Copied for the listener. */
  readonly onTensor?: (name: string, tensor: HostTensor) => void;
}

export interface StageReport {
  readonly stage: "load" | "encode-prompt" | "encode-image" | "denoise" | "decode";
  /** What exactly, e.g. `transformer`. */
  readonly component?: string;
  readonly done: number;
  readonly total: number;
}

export interface StepReport {
  /** From 0. */
  readonly index: number;
  readonly count: number;
  readonly timestep: number;
  /** Wall time of this step. */
  readonly seconds: number;
  readonly memory: MemoryReport;
}

export interface GenerationResult {
  /** Final latents in the family's own layout, before the autoencoder's scaling. */
  readonly latents: HostTensor;
  /**
   * Decodes while it is iterated: RGB bytes `[height, width, 3]` per frame, each an array of the receiver's. Can be
   * iterated once, until the pipeline is disposed. Throws `NotFiniteError` for a frame that is none, `AbortError` when
   * the generation's signal fires.
   */
  readonly frames: AsyncIterable<Uint8Array>;
  readonly frameCount: number;
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  /** A number where that is exact, else a bigint; `settings.seed` has its digits as text then. */
  readonly seed: Seed;
  /** Everything that shaped the result, for metadata; null: not given, or without effect (then a note says so). */
  readonly settings: RunSettings;
  /** What the step cache did; undefined without one. */
  readonly stepCache?: StepCacheReport;
  /** Remarks for the user, e.g. that the prompt was cut, or that an option had no effect. */
  readonly notes: readonly string[];
}

/** Latents of a run that is over, and the clip that they are of. */
export interface DecodeOptions
  extends Pick<GenerateOptions, "numFrames" | "height" | "width" | "fps" | "signal" | "onStage"> {
  /** As `GenerationResult.latents`. */
  readonly latents: HostTensor;
}

/** `settings` and `notes`: what decoding adds to those of the latents. */
export type DecodeResult = Pick<
  GenerationResult,
  "frames" | "frameCount" | "width" | "height" | "fps" | "settings" | "notes"
>;

/** What a pipeline does when it is told nothing. */
export type GenerationDefaults = ModelDefaults;

/** What a video's size follows from. */
export type VideoSizeOptions = Pick<GenerateOptions, "numFrames" | "height" | "width" | "image">;

export interface VideoPipeline extends HostPipeline {
  /** Class in `model_index.json`. */
  readonly className: string;
  readonly device: Device;
  readonly attention: AttentionDispatcher;
  readonly defaults: GenerationDefaults;
  /** Frames and pixels of a generation with these options: given ones, those of the image, or the defaults. */
  videoSize(options: VideoSizeOptions): VideoSize;
  /** Rows and tokens that the transformer will see. @throws ConfigError when the sizes do not fit the model */
  clip(numFrames: number, height: number, width: number): { latentFrames: number; patchesPerFrame: number };
  /**
   * One generation after the other: a second call waits for the first, and for frames that are being read.
   *
   * @throws UsageError `BAD_OPTION` and others before anything is loaded; AbortError; NotFiniteError; ConfigError
   *   `ENGINE_DISPOSED` when the pipeline is disposed before or meanwhile; `RUN_CHANGED`, `BAD_RUN_STATE` for
   *   `resumeFrom`
   */
  generate(options: GenerateOptions): Promise<GenerationResult>;
  /**
   * Frames of latents that an earlier run made: only the autoencoder is loaded.
   *
   * @throws UsageError `BAD_OPTION`, `LATENTS_SHAPE`, `INPUT_NOT_FINITE`; while frames are read as those of `generate`
   */
  decode(options: DecodeOptions): Promise<DecodeResult>;
  /**
   * Pictures of this model's latents, in its colours where the checkpoint states them. Needs no GPU.
   *
   * @throws ConfigError `BAD_CONFIG` where the stated colours are those of other latents
   */
  latentPreview(): Promise<LatentPreview>;
  dispose(): void;
}

export interface PipelineOptions {
  readonly device: Device;
  /** Default: one of its own. */
  readonly attention?: AttentionDispatcher;
  readonly precision?: Precision;
  /**
   * Keep transformers on the GPU while frames are decoded, for the next generation. Default false: decoding needs
   * the memory, and it is the peak of a long clip.
   */
  readonly keepLoaded?: boolean;
  /**
   * Transformers run in the memory of two blocks: while the GPU works on one, the next is read from the checkpoint. Results
   * are the same to the last bit. Default: all blocks stay on the GPU.
   */
  readonly offload?: BlockOffload;
  /**
   * The autoencoder works on one tile of the frames after the other, in the memory of a tile, and the seams are blended: to the
   * pictures of diffusers' `vae.enable_tiling()`, which are not those of whole frames. `true`: tiles of diffusers' sizes.
   * Frames of all tiles but the last wait in main memory. Default false.
   */
  readonly vaeTiling?: boolean | VaeTilingOptions;
  /** Other ranks that run the same generation, each on a device of its own. */
  readonly parallel?: ParallelOptions;
  /**
   * Added to the transformers' weights while these are read. With `precision: "f32"` the changed weights are f32, else
   * of the file's type, and take no memory of their own.
   */
  readonly loras?: readonly LoraOptions[];
}

/** Opens a checkpoint in the diffusers folder format; weights are loaded when they are first needed. */
export type PipelineLoader = (folder: FolderReader, options: PipelineOptions) => Promise<VideoPipeline>;
