/** What a checkpoint folder holds and what is wrong with it, from JSON files and safetensors headers alone. */
import { ConfigError, type FolderReader, isLvsaError } from "@lvsa/runtime";
import type { ModelTask } from "../catalog/model-description.js";
import type { CheckpointSettings } from "../models/definition/checkpoint-settings.js";
import { modelClassNames } from "../models/model-classes.js";
import { componentEntries, readCheckpointSettings, readJson, readModelIndex } from "./checkpoint-folder.js";
import { type ComponentInspection, inspectComponent } from "./inspect-component.js";

export interface CheckpointInspection {
  /** Path or address of the folder. */
  readonly name: string;
  /** `_class_name` of model_index.json; undefined for the folder of a single model. */
  readonly pipelineClass: string | undefined;
  /** What its pipeline makes videos from; empty for a single model. */
  readonly tasks: readonly ModelTask[];
  /** All of model_index.json. */
  readonly modelIndex: Readonly<Record<string, unknown>>;
  /** In the order of model_index.json. */
  readonly components: readonly ComponentInspection[];
  /** Of scheduler/scheduler_config.json and guider/guider_config.json, where they are there. */
  readonly schedulerConfig: Readonly<Record<string, unknown>> | undefined;
  readonly guiderConfig: Readonly<Record<string, unknown>> | undefined;
  /** Of lvsa.json; nothing where it is not there. */
  readonly settings: CheckpointSettings;
  /** Sums over all components. */
  readonly parameters: number;
  readonly tensors: number;
  readonly bytes: number;
  /** No component has a problem that stops it from being loaded. */
  readonly ok: boolean;
}

/**
 * Inspects a folder in the diffusers format, or that of a single model with its config.json. Problems are part of
 * the result: only a folder that is neither is an error.
 *
 * @throws ConfigError `NOT_A_CHECKPOINT`, `BAD_JSON`, `BAD_CONFIG` (of lvsa.json)
 */
export async function inspectCheckpoint(folder: FolderReader): Promise<CheckpointInspection> {
  const single = !(await folder.exists("model_index.json")) && (await folder.exists("config.json"));
  const index: Record<string, unknown> = single ? {} : await readModelIndex(folder);
  const components: ComponentInspection[] = [];
  if (single) {
    const className = classOfConfig(await readJson(folder, "config.json"));
    components.push(await inspectComponent(folder, { name: "", className, library: "" }));
  } else {
    for (const entry of componentEntries(index)) components.push(await inspectComponent(folder, entry));
  }
  const total = (pick: (component: ComponentInspection) => number) =>
    components.reduce((sum, component) => sum + pick(component), 0);
  return {
    name: folder.name,
    pipelineClass: single ? undefined : String(index._class_name),
    tasks: single ? [] : pipelineTasks(index),
    modelIndex: index,
    components,
    schedulerConfig: await optionalConfig(folder, "scheduler/scheduler_config.json"),
    guiderConfig: await optionalConfig(folder, "guider/guider_config.json"),
    settings: await readCheckpointSettings(folder),
    parameters: total((one) => one.parameters),
    tensors: total((one) => one.tensors),
    bytes: total((one) => one.bytes),
    ok: components.every((one) => one.problems.every(({ severity }) => severity !== "error")),
  };
}

/** Pipelines for images take nothing else; Wan 2.2 TI2V and Cosmos 3 take an image besides. */
export function pipelineTasks(index: Readonly<Record<string, unknown>>): ModelTask[] {
  const className = String(index._class_name);
  if (className.includes("ImageToVideo")) return ["image-to-video"];
  const takesBoth = index.expand_timesteps === true || className === "Cosmos3OmniPipeline";
  return takesBoth ? ["text-to-video", "image-to-video"] : ["text-to-video"];
}

/** @throws ConfigError `NOT_A_CHECKPOINT` when the file names no class */
function classOfConfig(config: unknown): string {
  const { _class_name: diffusers, architectures } = (config ?? {}) as Record<string, unknown>;
  const found =
    typeof diffusers === "string" ? diffusers : Array.isArray(architectures) ? architectures[0] : undefined;
  if (typeof found === "string") return found;
  throw new ConfigError("NOT_A_CHECKPOINT", "config.json names no class (_class_name or architectures).", {
    fix: `Point to a checkpoint folder with model_index.json, or to a model of ${modelClassNames().join(", ")}.`,
  });
}

async function optionalConfig(
  folder: FolderReader,
  path: string,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    if (!(await folder.exists(path))) return undefined;
    return (await readJson(folder, path)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    // Broken JSON is already a problem of its component.
    if (isLvsaError(error)) return undefined;
    throw error;
  }
}
