/** Pipeline classes by their name in `model_index.json`, loaded when a checkpoint asks for them. */
import { ConfigError, onOneLine } from "@lvsa/runtime";
import type { PipelineLoader } from "../pipelines/video-pipeline.js";

const wan = async (): Promise<PipelineLoader> => {
  const { WanPipeline } = await import("../pipelines/wan/pipeline-wan.js");
  return (folder, options) => WanPipeline.fromPretrained(folder, options);
};

const hunyuan = async (): Promise<PipelineLoader> => {
  const { HunyuanVideo15Pipeline } = await import("../pipelines/hunyuan/pipeline-hunyuan-video15.js");
  return (folder, options) => HunyuanVideo15Pipeline.fromPretrained(folder, options);
};

const cosmos3 = async (): Promise<PipelineLoader> => {
  const { Cosmos3OmniPipeline } = await import("../pipelines/cosmos3/pipeline-cosmos3-omni.js");
  return (folder, options) => Cosmos3OmniPipeline.fromPretrained(folder, options);
};

const cogvideox = async (): Promise<PipelineLoader> => {
  const { CogVideoXPipeline } = await import("../pipelines/cogvideox/pipeline-cogvideox.js");
  return (folder, options) => CogVideoXPipeline.fromPretrained(folder, options);
};

const loaders: Readonly<Record<string, () => Promise<PipelineLoader>>> = {
  WanPipeline: wan,
  WanImageToVideoPipeline: wan,
  WanDMDPipeline: wan,
  HunyuanVideo15Pipeline: hunyuan,
  HunyuanVideo15ImageToVideoPipeline: hunyuan,
  CogVideoXPipeline: cogvideox,
  CogVideoXImageToVideoPipeline: cogvideox,
  Cosmos3OmniPipeline: cosmos3,
};

/** Pipelines that packages of others brought to this process; across copies of this package. */
const REGISTRY = Symbol.for("lvsa.pipelines");

type RegisteredPipelines = Map<string, () => Promise<PipelineLoader>>;

function registered(): RegisteredPipelines {
  const holder = globalThis as { [REGISTRY]?: RegisteredPipelines };
  holder[REGISTRY] ??= new Map();
  return holder[REGISTRY];
}

/**
 * Makes a pipeline known to every `Engine.open` of this process: checkpoints whose `model_index.json` names `className` open
 * with it. `load` is called when the first one does, and gives what opens a folder (`(folder, options) =>
 * MyPipeline.fromPretrained(folder, options)`). Registering a name again replaces it. Disposing the result takes it back.
 * Registrations lie on `globalThis` under `Symbol.for("lvsa.pipelines")`.
 *
 * @throws ConfigError `PIPELINE_EXISTS` for a class that this package has itself
 */
export function registerPipeline(className: string, load: () => Promise<PipelineLoader>): Disposable {
  if (Object.hasOwn(loaders, className)) {
    throw new ConfigError("PIPELINE_EXISTS", `${className} is a pipeline of @lvsa/diffusion`, {
      fix: "Give the class, and `_class_name` in the checkpoint's model_index.json, a name of its own.",
    });
  }
  registered().set(className, load);
  return {
    [Symbol.dispose]: () => {
      if (registered().get(className) === load) registered().delete(className);
    },
  };
}

/** Class names that `Engine.open` knows. */
export function knownPipelines(): string[] {
  return [...Object.keys(loaders), ...registered().keys()];
}

/** @throws ConfigError `UNKNOWN_PIPELINE` with the known names */
export function pipelineLoader(className: string): Promise<PipelineLoader> {
  return requireKnownPipeline(className)();
}

/** As `pipelineLoader`, and loads nothing. */
export function requireKnownPipeline(className: string): () => Promise<PipelineLoader> {
  const loader = Object.hasOwn(loaders, className) ? loaders[className] : registered().get(className);
  if (loader) return loader;
  throw new ConfigError(
    "UNKNOWN_PIPELINE",
    `model_index.json names the class ${onOneLine(className)}, which is not supported`,
    {
      fix: `Known classes: ${knownPipelines().join(", ")}. A package that has it calls registerPipeline.`,
    },
  );
}
