/** What a pipeline is made of, and how it is opened: models without weights, and components that bring them. */

import { AttentionDispatcher, type AttentionTarget } from "@lvsa/core";
import {
  ConfigError,
  type Device,
  type FloatDType,
  type FolderReader,
  type Tensor,
  type WeightSource,
} from "@lvsa/runtime";
import { checkComponents } from "../checkpoint/check-components.js";
import {
  hasComponent,
  type ModelIndex,
  readCheckpointSettings,
  readSchedulerConfig,
} from "../checkpoint/checkpoint-folder.js";
import type { LoraSet } from "../lora/lora-set.js";
import type { LatentFrames } from "../models/autoencoders/latent-frames.js";
import type { VaeTiling } from "../models/autoencoders/tiling/vae-tiling.js";
import type { CheckpointSettings } from "../models/definition/checkpoint-settings.js";
import type { ModelDefinition, VideoModelDefinition } from "../models/definition/define-model.js";
import type { ResolvedConfig } from "../models/definition/resolved-config.js";
import type { ComponentConfigs } from "../models/definition/video-model.js";
import type { LoadOptions } from "../models/parameters.js";
import { Component, type Loadable, loadable } from "./component.js";
import { computeDtype } from "./generation-start.js";
import { checkPipelineOptions } from "./open-options.js";
import type { ParallelRun } from "./parallel-run.js";
import type { GenerateOptions, PipelineOptions } from "./video-pipeline.js";

/** An autoencoder as far as the body uses it. */
export interface VideoDecoder {
  /** Of what it decodes and encodes; undefined: nothing is cut. */
  tiling: VaeTiling | undefined;
  /** What comes before the frames of a clip, where an autoencoder looks back over all of it; `decode` takes the result. */
  prepare?(raw: LatentFrames, options: { readonly signal?: AbortSignal | undefined }): Promise<LatentFrames>;
  /** Chunks `[1, t, H, W, 3]`, the receiver's. */
  decode(raw: LatentFrames): Iterable<Tensor> & { return?(): unknown };
  /** The same before values are cut to −1 to 1, where `decode` cuts them. */
  decodeUnclamped?(raw: LatentFrames): Iterable<Tensor>;
  /** From the scheduler's latents to what `decode` takes: a new tensor. */
  denormalize(latents: Tensor): Tensor;
  dispose(): void;
}

/** What encoding hears and tells. */
export type EncodeRun = Pick<GenerateOptions, "onStage"> & { readonly signal?: AbortSignal | undefined };

/** A transformer as the body uses it. */
export interface VideoTransformer extends AttentionTarget {
  /** `config.json`, defaults filled in. */
  readonly config: Readonly<Record<string, unknown>>;
  dispose(): void;
  /** Storage type of activations. */
  readonly computeDtype: FloatDType;
}

/** A transformer, which is there for adapters before its weights are. */
export interface Stage<Model> {
  readonly model: Model;
  readonly weights: Component<Model>;
}

/** What every family's pipeline is made of; families add their own. */
export interface PipelineParts<Model = VideoTransformer, Decoder = VideoDecoder> {
  readonly device: Device;
  readonly attention: AttentionDispatcher;
  readonly folder: FolderReader;
  readonly className: string;
  /** Two in two-stage models. Their weights leave when frames are decoded, unless `keepLoaded`. */
  readonly stages: readonly [Stage<Model>, ...Stage<Model>[]];
  readonly vae: Component<Decoder>;
  /** Where the autoencoder works on tiles. */
  readonly tiling: VaeTiling | undefined;
  /** Where a text encoder of its own reads prompts. */
  readonly prompts?: {
    /** All texts of a run in one pass, kept until the next run. */
    prepare(texts: readonly string[], maxSequenceLength: number, run: EncodeRun): Promise<void>;
  };
  /** The transformer's; defaults and geometry follow from it and `configs`. */
  readonly definition: VideoModelDefinition;
  readonly configs: ComponentConfigs & Record<"transformer" | "vae", ResolvedConfig>;
  /** What the checkpoint says besides its configs. */
  readonly settings: CheckpointSettings;
  /** `scheduler_config.json` with the class of `model_index.json`. */
  readonly schedulerConfig: unknown;
  /** Added to the transformers' weights when these are loaded. */
  readonly loras: Loras;
  /** Remarks on the checkpoint, for every result. */
  readonly notes: readonly string[];
  readonly keepLoaded: boolean;
  readonly parallel: ParallelRun | undefined;
}

type Loras = Pick<LoraSet, "wrap" | "notes" | "close"> & { readonly used: string | null };

const NO_LORAS: Loras = {
  used: null,
  notes: [],
  wrap: (_component, source) => source,
  close: async () => {},
};

export type ModelOf<Parts extends PipelineParts> = Parts["stages"][0]["model"];
export type DecoderOf<Parts extends PipelineParts> =
  Parts extends PipelineParts<ModelOf<Parts>, infer Decoder> ? Decoder : never;

/** A transformer with the weights of a component of the folder. */
export function stageOf<Model extends Loadable & { computeDtype: FloatDType }>(
  { folder, loras }: Pick<PipelineParts, "folder" | "loras">,
  name: string,
  model: Model,
  options: PipelineOptions,
  only?: (name: string) => boolean,
): Stage<Model> {
  model.computeDtype = computeDtype(options.device, options.precision);
  const weights = loadable(model, {
    ...{ folder, name, wrap: (source) => loras.wrap(name, source) },
    ...(only ? { only } : {}),
    ...(options.offload ? { offload: options.offload } : {}),
  });
  return { model, weights };
}

/**
 * What `fromPretrained` of every family does with its options and the folder.
 *
 * @param definitions of the classes that the family loads
 * @throws UsageError `BAD_OPTION`; as `checkComponents`
 */
export async function openParts(
  folder: FolderReader,
  index: ModelIndex,
  options: PipelineOptions,
  definitions: readonly ModelDefinition[],
) {
  checkPipelineOptions(options);
  const { device, attention = new AttentionDispatcher(), keepLoaded = false, vaeTiling } = options;
  // What is not listed is not looked at either, and would be found missing or damaged after all steps.
  if (!hasComponent(index, "vae")) {
    throw new ConfigError("MISSING_COMPONENT", "the file lists no vae, without which there are no frames", {
      where: `${folder.name}/model_index.json`,
      fix: "Take the file from the repository that the checkpoint comes from.",
    });
  }
  const settings = await readCheckpointSettings(folder);
  const scheduler = await readSchedulerConfig(folder, index);
  const components = await checkComponents(folder, index, definitions);
  const notes = [...components.notes, ...scheduler.notes];
  const className = index._class_name;
  const tiling = vaeTiling
    ? await (await import("./open-tiling.js")).openTiling(folder, index, definitions, vaeTiling)
    : undefined;
  // f32 is for results without rounding; else changed weights take as much memory as unchanged ones.
  const merged = options.precision === "f32" ? "f32" : "stored";
  const files = options.loras ?? [];
  // Most runs have none, and an application need not load what reads them.
  const loras: Loras =
    files.length === 0
      ? NO_LORAS
      : await (await import("../lora/lora-set.js")).LoraSet.open(files, folder, index, definitions, merged);
  const parallel = options.parallel && new (await import("./parallel-run.js")).ParallelRun(options.parallel);
  return {
    loras,
    tiling,
    device,
    attention,
    keepLoaded,
    parallel,
    folder,
    className,
    settings,
    schedulerConfig: scheduler.config,
    notes,
  };
}

/** The autoencoder of a folder; `only` says which half of it is needed. */
export function autoencoder<Decoder extends VideoDecoder>(
  { folder, device, tiling }: Pick<PipelineParts, "folder" | "device" | "tiling">,
  model: {
    load(device: Device, source: WeightSource, config: unknown, options: LoadOptions): Promise<Decoder>;
  },
  config: unknown,
  only: (name: string) => boolean = isDecoder,
): Component<Decoder> {
  return new Component({
    ...{ folder, only, name: "vae" },
    load: async (source, options) => {
      const vae = await model.load(device, source, config, options);
      vae.tiling = tiling;
      return vae;
    },
    unload: (loaded) => loaded.dispose(),
  });
}

/** Of an autoencoder: what encoding needs. */
export function isEncoder(name: string): boolean {
  return name.startsWith("encoder.") || name.startsWith("quant_conv.");
}

/** Of an autoencoder: what decoding needs. */
export function isDecoder(name: string): boolean {
  return name.startsWith("decoder.") || name.startsWith("post_quant_conv.");
}
