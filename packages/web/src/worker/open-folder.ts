/** From a model's source to its folder, in the worker. */
import { type FolderReader, httpFolder, isLvsaError } from "@lvsa/runtime";
import { directoryFolder, filesBelow, filesFolder } from "../folders/file-folders.js";
import { modelOf } from "../folders/picked-files.js";
import type { ModelSource } from "../model-source.js";
import type { Progress } from "../protocol.js";
import { storedModel } from "../store/stored-model.js";

export interface OpenFolderOptions {
  readonly signal?: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
  readonly onNote: (note: string) => void;
}

/** @throws WeightsError and LvsaError as `storedModel` does */
export async function openFolder(source: ModelSource, options: OpenFolderOptions): Promise<FolderReader> {
  switch (source.kind) {
    case "files":
      return openFiles(source);
    case "directory": {
      const folder = directoryFolder(source.handle);
      if (await folder.exists("model_index.json")) return folder;
      return openFiles(modelOf(await filesBelow(source.handle)));
    }
    case "url":
      return source.keep ? keptFolder(source, options) : httpFolder(source.url, listed(source));
  }
}

async function openFiles({
  name,
  files,
  parts = [],
}: Extract<ModelSource, { kind: "files" }>): Promise<FolderReader> {
  const folder = files.length > 0 ? filesFolder(files, name) : undefined;
  if (folder && parts.length === 0) return folder;
  const { openParts } = await import("./open-parts.js");
  return openParts(folder, parts);
}

async function keptFolder(
  source: Extract<ModelSource, { kind: "url" }>,
  { signal, onProgress, onNote }: OpenFolderOptions,
): Promise<FolderReader> {
  try {
    return await storedModel(source.url, {
      files: source.files,
      makeRoom: source.makeRoom,
      signal,
      onNote,
      onProgress: ({ path, done, total }) => onProgress({ stage: "download", what: path, done, total }),
    });
  } catch (error) {
    if (!isLvsaError(error) || (error.code !== "STORE_UNAVAILABLE" && error.code !== "STORE_FULL"))
      throw error;
    onNote(`The model is not kept in the browser: ${error.message} It is read from the server each time.`);
    return httpFolder(source.url, listed(source));
  }
}

function listed({ files }: Extract<ModelSource, { kind: "url" }>): { files?: readonly string[] } {
  return files ? { files: files.map(({ path }) => path) } : {};
}
