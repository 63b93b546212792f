/** A whole model as the planner sees it: a known one by name, or one read from a checkpoint folder. */
import type { ResolvedConfig } from "./model-class.js";
import type { StoredDType } from "./weight-summary.js";

export type ModelFamily = "wan" | "hunyuan" | "cogvideox" | "cosmos3";
export type ModelTask = "text-to-video" | "image-to-video";

export interface ComponentDescription {
  /** diffusers' or transformers' class name. */
  readonly className: string;
  /** Keys of config.json; left out ones have the default of the class. */
  readonly config: ResolvedConfig;
  /** Number format of the published (or found) file. */
  readonly storedDType: StoredDType;
}

/** Settings of one generation. Those of a model are what its diffusers pipeline does when it is told nothing. */
export interface GenerationDefaults {
  /** Pixels. */
  readonly height: number;
  readonly width: number;
  /** Video frames. */
  readonly numFrames: number;
  readonly numInferenceSteps: number;
  readonly guidanceScale: number;
  /** Guidance of the second transformer; the same as the first where it is left out. */
  readonly guidanceScale2?: number;
  readonly flowShift?: number;
  /** Frames per second of the written file. */
  readonly fps: number;
}

export interface ModelDescription {
  /** Short name, as in `lvsa plan --model wan2.1-t2v-1.3b`; a path for a checkpoint folder. */
  readonly name: string;
  /** `owner/name` on the hub, where it is published. */
  readonly repository?: string;
  readonly family: ModelFamily;
  readonly task: ModelTask;
  /** `_class_name` of model_index.json. */
  readonly pipelineClass: string;
  /** By the names of model_index.json: `transformer`, `vae`, `text_encoder`, ... */
  readonly components: Readonly<Record<string, ComponentDescription>>;
  readonly defaults: GenerationDefaults;
  /** What the authors advise where it differs from `defaults`. */
  readonly recommended: Partial<GenerationDefaults>;
  /** Share of the noise schedule above which the first of two transformers works. */
  readonly boundaryRatio?: number;
}
