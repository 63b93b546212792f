/** What the page and the worker say to each other. Everything survives structured cloning. */
import type { LvsaConfigInput } from "@lvsa/core";
import type { GenerateOptions, HostTensor, Preview } from "@lvsa/diffusion";
import type { ErrorFault } from "@lvsa/runtime/errors";
import type { VideoFormat, VideoQuality } from "@lvsa/video";
import type { ModelSource } from "./model-source.js";

/** A LoRA that a clip is made with: a safetensors file, all of whose keys have a place in the model's transformer. */
export interface ClipLora {
  readonly file: File;
  /** How much of it is added; any finite number. Default 1. */
  readonly weight?: number;
}

/** `GenerateOptions` without what can not be sent: callbacks and the signal have their own ways. */
export interface ClipOptions
  extends Omit<GenerateOptions, "signal" | "onStep" | "onStage" | "onState" | "onTensor" | "resumeFrom"> {
  /** Long-Video Sparse Attention: settings, or `true` for the model's own. Default false: dense attention. */
  readonly lvsa?: boolean | LvsaConfigInput;
  /** Default `auto`: the first of mp4, webm and png that this browser can write. */
  readonly format?: VideoFormat | "auto";
  /** Of mp4 and webm. Default `high`. */
  readonly quality?: VideoQuality;
  /** Added to the transformer, one after the other; another choice than the last clip's loads it again. Default: none. */
  readonly loras?: readonly ClipLora[];
  /** Bytes of GPU memory that the clip may take. Default: what was said when the model was opened. */
  readonly memoryBudget?: number;
}

/** Settings of a few-step model together: see `GenerateOptions.preset`. */
export interface ModelPreset {
  readonly name: string;
  readonly description: string;
  readonly numInferenceSteps: number;
  readonly guidanceScale: number;
}

/** What a model is, and what it makes when it is told nothing. */
export interface ModelInfo {
  readonly name: string;
  /** Of `model_index.json`. */
  readonly className: string;
  readonly family: string;
  readonly defaults: {
    readonly numFrames: number;
    readonly height: number;
    readonly width: number;
    readonly numInferenceSteps: number;
    readonly guidanceScale: number;
    readonly fps: number;
  };
  /** Presets of the model's family. */
  readonly presets: readonly ModelPreset[];
  /**
   * Preset of the few-step student that comes with the checkpoint. It runs where an option names the preset, or none says how
   * to sample; with others (steps, guidance, a negative prompt, LoRAs, …) the model itself does.
   */
  readonly fewSteps: string | undefined;
  /** Video frames of the clips that the model was trained on. Beyond them attention thins out. */
  readonly trainingFrames: number;
  /** Frame counts that fit are this times k, plus 1. */
  readonly frameStep: number;
  /** Pixels that height and width are multiples of. */
  readonly sizeMultiple: number;
  /** One line about the GPU. */
  readonly device: string;
  /** `software`: a processor pretends to be a GPU, and is slow. */
  readonly hardware: "gpu" | "software";
}

export interface ClipPlan {
  readonly numFrames: number;
  readonly height: number;
  readonly width: number;
  readonly fps: number;
  readonly steps: number;
  readonly latentFrames: number;
  readonly tokens: number;
  /** Times the training length. */
  readonly horizon: number;
  /** Attended share of all pairs of frames, from 0 to 1; 1 where attention is dense. */
  readonly density: number;
  /** Floating point operations of all steps, dense and as asked for. */
  readonly flops: { readonly dense: number; readonly planned: number };
  /** Seconds of all steps, from a short measurement on this GPU or from earlier clips. */
  readonly seconds: number;
  /** `measured`: from a clip that ran here. */
  readonly secondsFrom: "measured" | "estimated";
  /** GPU memory of the stage that needs most, in bytes. */
  readonly peakBytes: number;
  readonly peakPhase: string;
  /** Bytes that the GPU has, where that is known: WebGPU does not tell. */
  readonly availableBytes: number | undefined;
  readonly fits: boolean;
  /** What this GPU can not take, where that is one tensor and not the memory as a whole. */
  readonly refusal?: string;
  /** What would fit where this does not, e.g. `17 frames`. */
  readonly fitting: readonly {
    readonly numFrames?: number;
    readonly words: string;
    readonly peakBytes: number;
  }[];
  /** Which frames attend to which, as an SVG element; only with LVSA. */
  readonly maskSvg: string | undefined;
}

export interface Progress {
  readonly stage: "download" | "load" | "encode-prompt" | "encode-image" | "denoise" | "decode" | "encode";
  /** What exactly: a component, a file. */
  readonly what?: string;
  /** Bytes while downloading, steps while denoising, frames while encoding, else parts of the work. */
  readonly done: number;
  readonly total: number;
  /** Until the steps are done, once that can be told. */
  readonly secondsLeft?: number;
}

/** A finished clip, and everything that shaped it. */
export interface ClipData {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly format: VideoFormat;
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly frameCount: number;
  readonly latents: HostTensor;
  readonly seed: number | bigint;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
  /** Of the steps, of everything after them, and of the slowest part before. */
  readonly seconds: { readonly denoise: number; readonly decode: number; readonly total: number };
}

export interface GenerateCall {
  readonly options: ClipOptions;
  readonly previews: boolean;
  /** Keep the state after steps in the browser, under this name, until the clip is finished. */
  readonly keepAs?: string;
  /** Go on with the state that was kept under this name. */
  readonly resume?: string;
}

/** Calls that answer with one value. */
export interface Calls {
  open: { args: { source: ModelSource; memoryBudget?: number }; result: ModelInfo };
  plan: { args: ClipOptions; result: ClipPlan };
  generate: { args: GenerateCall; result: ClipData };
}

export type CallName = keyof Calls;

export type Request =
  | {
      readonly [K in CallName]: { readonly id: number; readonly call: K; readonly args: Calls[K]["args"] };
    }[CallName]
  | { readonly id: number; readonly cancel: true }
  | { readonly id: number; readonly pause: boolean };

export interface SentError {
  readonly name: string;
  readonly code: string;
  readonly message: string;
  readonly fix: string | undefined;
  readonly where: string | undefined;
  readonly fault: ErrorFault;
  readonly stack: string | undefined;
}

export type Reply =
  /** The worker runs; it holds this Web Lock for as long as it lives. */
  | { readonly ready: true; readonly lock: string | undefined }
  | { readonly id: number; readonly progress: Progress }
  | { readonly id: number; readonly preview: Preview }
  | { readonly id: number; readonly note: string }
  /** The call waits, since it was paused; or it goes on. */
  | { readonly id: number; readonly held: boolean }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: SentError };
