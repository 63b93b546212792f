/** The model that `--model` means: a checkpoint folder, or one that is known by name. */
import { stat } from "node:fs/promises";
import {
  describeCheckpoint,
  getKnownModel,
  inspectCheckpoint,
  type ModelDescription,
} from "@lvsa/diffusion/catalog";
import { nodeFolder } from "@lvsa/runtime/node";

/** @throws ConfigError `UNKNOWN_MODEL` with the known names, or what is wrong with the folder */
export async function resolveModel(nameOrPath: string): Promise<ModelDescription> {
  const isFolder = await stat(nameOrPath).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) return getKnownModel(nameOrPath);
  return describeCheckpoint(await inspectCheckpoint(nodeFolder(nameOrPath)));
}
