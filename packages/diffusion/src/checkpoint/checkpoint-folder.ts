/** Reading a diffusers folder: `model_index.json`, component configs, component weights. */
import { ConfigError, type FolderReader, UsageError, WeightsError } from "@lvsa/runtime";
import * as z from "zod";
import {
  type CheckpointSettings,
  NO_SETTINGS,
  parseCheckpointSettings,
  SETTINGS_FILE,
} from "../models/definition/checkpoint-settings.js";

const modelIndexSchema = z.looseObject({ _class_name: z.string() });

export type ModelIndex = z.infer<typeof modelIndexSchema>;

/**
 * @throws ConfigError `NOT_A_CHECKPOINT` when the folder has no readable `model_index.json`; UsageError `BAD_OPTION` for what
 *   is no folder, such as a path
 */
export async function readModelIndex(folder: FolderReader): Promise<ModelIndex> {
  const methods: readonly (keyof FolderReader)[] = ["exists", "readText", "open"];
  if (
    !methods.every(
      (name) => typeof (folder as Partial<FolderReader> | undefined | null)?.[name] === "function",
    )
  ) {
    throw new UsageError("BAD_OPTION", `the checkpoint is no folder that can be read, but ${typeof folder}`, {
      fix: "Give nodeFolder(path) in Node, httpFolder(address), or what openCheckpoint makes.",
    });
  }
  if (!(await folder.exists("model_index.json"))) {
    throw new ConfigError("NOT_A_CHECKPOINT", "the model folder has no model_index.json", {
      where: folder.name,
      fix: "Point to a checkpoint in the diffusers folder format (the folder that holds model_index.json).",
    });
  }
  const parsed = modelIndexSchema.safeParse(await readJson(folder, "model_index.json"));
  if (parsed.success) return parsed.data;
  throw new ConfigError("NOT_A_CHECKPOINT", "the file names no _class_name", {
    where: `${folder.name}/model_index.json`,
    fix: "Take the file from the repository that the checkpoint comes from.",
  });
}

/** Whether `model_index.json` lists a component that is really there (missing ones are `[null, null]`). */
export function hasComponent(index: ModelIndex, name: string): boolean {
  const entry = (index as Record<string, unknown>)[name];
  return Array.isArray(entry) && entry[1] !== null;
}

/** A component as `model_index.json` lists it. */
export interface ComponentEntry {
  /** Its folder. */
  readonly name: string;
  readonly className: string;
  /** `diffusers` or `transformers`, as a rule. */
  readonly library: string;
}

/** The components that are really there, in the file's order. */
export function componentEntries(index: Readonly<Record<string, unknown>>): ComponentEntry[] {
  return Object.entries(index).flatMap(([name, entry]) => {
    if (!Array.isArray(entry) || entry.length !== 2 || typeof entry[1] !== "string") return [];
    return [{ name, className: entry[1], library: typeof entry[0] === "string" ? entry[0] : "" }];
  });
}

/**
 * `scheduler/scheduler_config.json` under the class that `model_index.json` names: as in diffusers, the file's own
 * `_class_name` may be missing, or that of the scheduler it was made from.
 */
export async function readSchedulerConfig(
  folder: FolderReader,
  index: ModelIndex,
): Promise<{ readonly config: Readonly<Record<string, unknown>>; readonly notes: readonly string[] }> {
  const path = "scheduler/scheduler_config.json";
  const config = await readSettings(folder, path);
  const named = componentEntries(index).find(({ name }) => name === "scheduler")?.className;
  const own = config._class_name;
  if (named === undefined || named === own) return { config, notes: [] };
  const notes =
    own === undefined
      ? []
      : [`The scheduler is ${named}, as model_index.json says; ${path} is that of a ${own}.`];
  return { config: { ...config, _class_name: named }, notes };
}

/** What `lvsa.json` says; nothing where it is not there. @throws ConfigError `BAD_JSON`, `BAD_CONFIG` */
export async function readCheckpointSettings(folder: FolderReader): Promise<CheckpointSettings> {
  if (!(await folder.exists(SETTINGS_FILE))) return NO_SETTINGS;
  return parseCheckpointSettings(await readJson(folder, SETTINGS_FILE));
}

/** Published files have five levels. Whoever walks through thousands, or writes them again, runs out of stack. */
const MAX_DEPTH = 64;

/** @throws WeightsError when missing; ConfigError `BAD_JSON` when it is not JSON, or nested too deep */
export async function readJson(folder: FolderReader, path: string): Promise<unknown> {
  if (!(await folder.exists(path))) {
    throw new WeightsError("NOT_FOUND", `the checkpoint has no ${path}`, {
      where: folder.name,
      fix: "Download the whole checkpoint, with the config files of every component.",
    });
  }
  const text = await folder.readText(path);
  const bad = (message: string, cause?: unknown) =>
    new ConfigError("BAD_JSON", message, {
      where: `${folder.name}/${path}`,
      fix: "Take the file from the repository that the checkpoint comes from.",
      ...(cause === undefined ? {} : { cause }),
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw bad(`the file is not JSON: ${(cause as Error).message}`, cause);
  }
  if (isDeeperThan(value, MAX_DEPTH)) throw bad(`the file nests deeper than ${MAX_DEPTH} levels`);
  return value;
}

/** As `readJson`, of a file that holds settings by name. @throws ConfigError `BAD_CONFIG` for a list or a single value */
export async function readSettings(
  folder: FolderReader,
  path: string,
): Promise<Readonly<Record<string, unknown>>> {
  const json = await readJson(folder, path);
  if (typeof json === "object" && json !== null && !Array.isArray(json))
    return json as Record<string, unknown>;
  throw new ConfigError("BAD_CONFIG", "the file holds no settings", {
    where: `${folder.name}/${path}`,
    fix: "Take the file from the repository that the checkpoint comes from.",
  });
}

function isDeeperThan(value: unknown, levels: number): boolean {
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > levels) return true;
    level = level.flatMap((one) => (typeof one === "object" && one !== null ? Object.values(one) : []));
  }
  return false;
}
