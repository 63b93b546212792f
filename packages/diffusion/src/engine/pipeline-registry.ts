/** Pipeline classes by their name in `model_index.json`, loaded when a checkpoint asks for them. */
import { ConfigError } from "@lvsa/runtime";
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
  HunyuanVideo15Pipeline: hunyuan,
  CogVideoXPipeline: cogvideox,
  Cosmos3OmniPipeline: cosmos3,
};

/** Class names that `Engine.open` knows. */
export function knownPipelines(): string[] {
  return Object.keys(loaders);
}

/** @throws ConfigError `UNKNOWN_PIPELINE` with the known names */
export function pipelineLoader(className: string): Promise<PipelineLoader> {
  const loader = Object.hasOwn(loaders, className) ? loaders[className] : undefined;
  if (loader) return loader();
  throw new ConfigError(
    "UNKNOWN_PIPELINE",
    `model_index.json names the class ${className}, which is not supported`,
    {
      fix: `Known classes: ${knownPipelines().join(", ")}.`,
    },
  );
}
