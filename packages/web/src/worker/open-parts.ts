/** Single files of weights as a checkpoint: what each of them holds is found out from its content. */
import { type ComponentFile, openCheckpoint } from "@lvsa/diffusion";
import { ConfigError, type FolderReader, isLvsaError } from "@lvsa/runtime";
import { fileSource, filesFolder } from "../folders/file-folders.js";
import { isTokenizerFile } from "../folders/picked-files.js";
import type { PickedFile } from "../model-source.js";

/**
 * @param folder has what the files do not
 * @throws ConfigError `MISSING_COMPONENT` that names what is missing, and whatever else `openCheckpoint` throws
 */
export async function openParts(
  folder: FolderReader | undefined,
  parts: readonly PickedFile[],
): Promise<FolderReader> {
  const tokenizer = tokenizerAmong(parts);
  const files = parts.filter(({ path }) => !isTokenizerFile(path)).map(weightsFile);
  try {
    return await openCheckpoint({
      files,
      ...(folder ? { folder } : {}),
      ...(tokenizer ? { tokenizer } : {}),
    });
  } catch (error) {
    if (!isLvsaError(error) || error.code !== "MISSING_COMPONENT") throw error;
    throw new ConfigError(error.code, error.message, {
      fix: "Give these files together with the others, or with the folder of a checkpoint that has what they do not hold.",
      cause: error,
      ...(error.where === undefined ? {} : { where: error.where }),
    });
  }
}

/** A tokenizer's folder where its settings are there too, else its one file. */
function tokenizerAmong(parts: readonly PickedFile[]): ComponentFile | undefined {
  const settings = parts.find(({ path }) => /(^|\/)tokenizer_config\.json$/.test(path));
  if (settings) {
    const root = settings.path.slice(0, -"tokenizer_config.json".length);
    const inside = parts.filter(({ path }) => path.startsWith(root) && isTokenizerFile(path));
    return filesFolder(
      inside.map(({ path, file }) => ({ path: path.slice(root.length), file })),
      root.slice(0, -1) || "tokenizer",
    );
  }
  const file =
    parts.find(({ path }) => /(^|\/)tokenizer\.json$/.test(path)) ??
    parts.find(({ path }) => path.endsWith(".model"));
  return file && weightsFile(file);
}

function weightsFile({ path, file }: PickedFile) {
  return { name: path, open: async () => fileSource(file, path) };
}
