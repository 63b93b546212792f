/** Which models the browser keeps for this origin, how much room they take, and how to be rid of them. */
import * as z from "zod";
import { readJsonFile, removeEntry, storeDirectory } from "./opfs.js";

export const MODELS = "models";
/** Beside a model's files: which it is. */
export const MODEL_FILE = "model.json";

const modelSchema = z.object({ url: z.string(), lastUsed: z.number() });

export interface KeptModel {
  readonly key: string;
  readonly url: string;
  /** Milliseconds, as `Date.now()`. */
  readonly lastUsed: number;
  /** Of its files so far. */
  readonly bytes: number;
}

/** Those that were used longest ago come first. @throws LvsaError `STORE_UNAVAILABLE` */
export async function keptModels(): Promise<KeptModel[]> {
  const models = await storeDirectory(MODELS);
  const found: KeptModel[] = [];
  for await (const [key, handle] of models.entries()) {
    if (handle.kind !== "directory") continue;
    const directory = handle as FileSystemDirectoryHandle;
    const model = modelSchema.safeParse(await readJsonFile(directory, MODEL_FILE)).data;
    if (model) found.push({ key, ...model, bytes: await bytesIn(directory) });
  }
  return found.sort((a, b) => a.lastUsed - b.lastUsed);
}

/** @throws LvsaError `STORE_UNAVAILABLE`; the browser's own error while a file of it is being written */
export async function removeKeptModel(key: string): Promise<void> {
  await removeEntry(await storeDirectory(MODELS), key);
}

/** Bytes that the browser would still give this origin; undefined where it does not tell. */
export async function freeBytes(): Promise<number | undefined> {
  const { quota, usage = 0 } = (await globalThis.navigator.storage?.estimate?.()) ?? {};
  return quota === undefined ? undefined : Math.max(0, quota - usage);
}

async function bytesIn(directory: FileSystemDirectoryHandle): Promise<number> {
  let bytes = 0;
  for await (const [, handle] of directory.entries()) {
    if (handle.kind === "file") bytes += (await (handle as FileSystemFileHandle).getFile()).size;
  }
  return bytes;
}
