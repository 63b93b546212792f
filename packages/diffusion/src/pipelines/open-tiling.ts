/** Tiles of a checkpoint's autoencoder, as its configuration has them. Loaded where they are asked for. */
import type { FolderReader } from "@lvsa/runtime";
import { componentEntries, type ModelIndex, readJson } from "../checkpoint/checkpoint-folder.js";
import type { VaeTilingOptions } from "../models/autoencoders/tiling/tile-sizes.js";
import { VaeTiling } from "../models/autoencoders/tiling/vae-tiling.js";
import { findDefinition, type ModelDefinition } from "../models/definition/define-model.js";

/**
 * Of a checkpoint whose components were checked against `definitions`.
 *
 * @throws UsageError `BAD_OPTION` for sizes that do not fit the autoencoder; ConfigError for its configuration
 */
export async function openTiling(
  folder: FolderReader,
  index: ModelIndex,
  definitions: readonly ModelDefinition[],
  options: true | VaeTilingOptions,
): Promise<VaeTiling> {
  const file = "vae/config.json";
  const { className } = componentEntries(index).find(({ name }) => name === "vae")!;
  const definition = findDefinition(definitions, className)!;
  const config = definition.configToRun(await readJson(folder, file), file);
  return new VaeTiling(options, definition.tiling!(config));
}
