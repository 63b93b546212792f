/** A whole model as the planner sees it: a known one by name, or one read from a checkpoint folder. */
import type { PackedDType } from "@lvsa/runtime";
import type { CheckpointSettings } from "../models/definition/checkpoint-settings.js";
import type { ResolvedConfig } from "../models/definition/resolved-config.js";
import type { ModelDefaults, ModelFamily } from "../models/definition/video-model.js";
import type { StoredDType } from "./weight-summary.js";

export type ModelTask = "text-to-video" | "image-to-video";

export interface ComponentDescription {
  /** diffusers' or transformers' class name. */
  readonly className: string;
  /** Keys of config.json; left out ones have the default of the class. */
  readonly config: ResolvedConfig;
  /** Number format of the published (or found) file. */
  readonly storedDType: StoredDType;
  /** How most of its linear layers stay quantized in GPU memory; absent where they do not. */
  readonly packedDType?: PackedDType;
  /** Of a found file, by the class's names: parameters that are stored or packed in another way than most. */
  readonly exceptions?: ReadonlyMap<string, Pick<ComponentDescription, "storedDType" | "packedDType">>;
}

/** Settings of one generation: the model's, and what a checkpoint's scheduler and second transformer add. */
export interface GenerationDefaults extends ModelDefaults {
  /** Guidance of the second transformer; the same as the first where it is left out. */
  readonly guidanceScale2?: number;
  readonly flowShift?: number;
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
  /** What the checkpoint says in place of its definition. */
  readonly geometry?: CheckpointSettings["geometry"];
  /** The few-step student that the checkpoint brings along. */
  readonly fewSteps?: CheckpointSettings["fewSteps"];
  /** What the authors advise where it differs from `defaults`. */
  readonly recommended: Partial<GenerationDefaults>;
  /** Share of the noise schedule above which the first of two transformers works. */
  readonly boundaryRatio?: number;
}

/** A published model as the catalog writes it down: defaults that its definition gives are left out. */
export interface KnownModel extends Omit<ModelDescription, "defaults" | "recommended"> {
  readonly defaults: Partial<GenerationDefaults>;
  readonly recommended: Partial<GenerationDefaults>;
}
