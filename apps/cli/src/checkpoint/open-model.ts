/** The checkpoint that `--model` and the flags of components mean: a folder, a file, or a set of files. */
import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import {
  type CheckpointFiles,
  type ComponentFile,
  findKnownModel,
  openCheckpoint,
} from "@lvsa/diffusion/catalog";
import { ConfigError, type FolderReader } from "@lvsa/runtime";
import { cachedSnapshot, isRepositoryName, nodeFile, nodeFolder } from "@lvsa/runtime/node";
import { componentFlag, givenComponents, type ModelOptions } from "../options/model-options.js";
import { isTextModel, refuseFolder } from "./recognize-folder.js";

export interface OpenedModel {
  readonly folder: FolderReader;
  /** For metadata and messages. */
  readonly name: string;
  /** Where the folder lies, when it is one and whole: nothing of it was replaced. */
  readonly path?: string;
  /** Flags without which no video can be made; empty unless it was opened as a part. */
  readonly missing: readonly string[];
}

type PathKind = "folder" | "file" | undefined;

export function kindOfPath(path: string): Promise<PathKind> {
  return stat(path).then(
    (found): PathKind => (found.isDirectory() ? "folder" : "file"),
    () => undefined,
  );
}

/** The folder or file that a model's name means: a path, or a repository of the Hub that was pulled. */
export async function findModel(model: string): Promise<{ readonly path: string; readonly kind: PathKind }> {
  const path = resolve(model);
  const kind = await kindOfPath(path);
  const snapshot = kind === undefined ? await cachedSnapshot(model, process.env) : undefined;
  return snapshot === undefined ? { path, kind } : { path: snapshot, kind: "folder" };
}

/**
 * @param isPartial take what is there; see `openCheckpoint`
 * @throws UsageError `WRONG_FOLDER` for a folder that is something else; ConfigError `NOT_A_CHECKPOINT` when there is no such folder or file; what `openCheckpoint` throws
 */
export async function openModel(options: ModelOptions, isPartial = false): Promise<OpenedModel> {
  const components = givenComponents(options);
  const found = options.model === undefined ? undefined : await findModel(options.model);
  const { path: model, kind } = found ?? { path: undefined, kind: undefined };
  if (model !== undefined && kind === undefined) throw noSuchModel(options.model!, model);
  if (kind === "folder" && components.length === 0) {
    const has = (name: string) => kindOfPath(join(model!, name)).then((found) => found === "file");
    // Of a single model's folder there is something to inspect, unless it is a model of something else.
    const isPart = isPartial && (await has("config.json")) && !(await isTextModel(model!));
    if (!(await has("model_index.json")) && !isPart) await refuseFolder(model!);
    // A snapshot's folder is named by a commit.
    const isPath = (await kindOfPath(resolve(options.model!))) !== undefined;
    const name = isPath ? basename(model!) : options.model!;
    return { folder: nodeFolder(model!), name, path: model!, missing: [] };
  }
  const files: Record<string, ComponentFile> = {};
  for (const name of components) files[name] = await componentFile(options[name]!, componentFlag(name));
  const given: CheckpointFiles = {
    ...files,
    ...(kind === "folder" ? { folder: nodeFolder(model!) } : {}),
    ...(kind === "file" ? { files: [nodeFile(model!)] } : {}),
  };
  const opened = await openCheckpoint(given, { isPartial });
  const name = basename(model ?? resolve(options[components[0]!]!));
  return { folder: opened, name, missing: opened.missing.map((one) => componentFlag(one as never)) };
}

async function componentFile(given: string, flag: string): Promise<ComponentFile> {
  const path = resolve(given);
  const kind = await kindOfPath(path);
  if (kind === "folder") return nodeFolder(path);
  if (kind === "file") return nodeFile(path);
  throw new ConfigError("NOT_A_CHECKPOINT", `there is no file ${path}`, {
    fix: `Check the path of ${flag}.`,
  });
}

function noSuchModel(model: string, path: string): ConfigError {
  const known = findKnownModel(model);
  return new ConfigError("NOT_A_CHECKPOINT", `there is no folder or file ${path}`, {
    fix: known
      ? `Download ${known.repository ?? known.name}${known.repository ? ` (\`lvsa pull ${known.repository}\`)` : ""} and give its folder; only \`lvsa plan\` and \`lvsa inspect\` know models by name.`
      : isRepositoryName(model)
        ? `Pull it from the Hub: lvsa pull ${model}`
        : "Give the folder of a checkpoint in the diffusers format (the one that holds model_index.json), or a file of weights.",
  });
}
