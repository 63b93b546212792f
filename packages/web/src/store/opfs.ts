/** The origin's private file system: the few things that the stores need of it. */
import { LvsaError } from "@lvsa/runtime/errors";
import { absent } from "../folders/file-folders.js";

const ROOT = "lvsa";
const NO_ROOM = "the browser gives this page no more room for files.";

/**
 * A folder of ours.
 * @throws LvsaError `STORE_FULL`, `STORE_UNAVAILABLE` where the browser has no such file system, or refuses it (private windows)
 */
export async function storeDirectory(...path: readonly string[]): Promise<FileSystemDirectoryHandle> {
  const { storage } = globalThis.navigator ?? {};
  try {
    if (!storage?.getDirectory) throw new Error("navigator.storage.getDirectory is missing");
    let directory = await storage.getDirectory();
    for (const name of [ROOT, ...path])
      directory = await directory.getDirectoryHandle(name, { create: true });
    return directory;
  } catch (cause) {
    if (isQuotaError(cause)) throw storeFull(path.join("/"), NO_ROOM, cause);
    throw new LvsaError("STORE_UNAVAILABLE", `this browser keeps no files for the page: ${text(cause)}`, {
      fix: "Leave the private window, serve the page over https, or use the model without keeping it.",
      cause,
    });
  }
}

export async function readFile(
  directory: FileSystemDirectoryHandle,
  name: string,
): Promise<File | undefined> {
  const handle = await directory.getFileHandle(name).catch(absent);
  return handle?.getFile();
}

/** Undefined for a file that is absent or was cut while it was written. */
export async function readJsonFile(directory: FileSystemDirectoryHandle, name: string): Promise<unknown> {
  const file = await readFile(directory, name);
  try {
    return file && JSON.parse(await file.text());
  } catch {
    return undefined;
  }
}

/** A file that is written where it lies: what was flushed is there after the worker was killed. */
export interface OpenedFile {
  readonly size: number;
  write(bytes: Uint8Array, at: number): Promise<void>;
  read(at: number, length: number): Promise<Uint8Array>;
  truncate(size: number): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** TypeScript has it for workers only. */
interface SyncAccess {
  getSize(): number;
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

/** @throws LvsaError `STORE_FULL`, also from everything that the opened file does */
export async function openToWrite(directory: FileSystemDirectoryHandle, name: string): Promise<OpenedFile> {
  // Even an empty file takes room.
  const handle: FileSystemFileHandle & { createSyncAccessHandle?: () => Promise<SyncAccess> } = await full(
    name,
    () => directory.getFileHandle(name, { create: true }),
  );
  if (handle.createSyncAccessHandle) {
    const access = await full(name, () => handle.createSyncAccessHandle!());
    return {
      size: access.getSize(),
      write: async (bytes, at) => {
        const written = await full(name, async () => access.write(bytes, { at }));
        // Chromium answers with a number that is none of bytes.
        if (written !== bytes.length) throw storeFull(name, NO_ROOM);
      },
      read: async (at, length) => {
        const bytes = new Uint8Array(length);
        return bytes.subarray(0, access.read(bytes, { at }));
      },
      truncate: (size) => full(name, async () => access.truncate(size)),
      flush: () => full(name, async () => access.flush()),
      close: async () => access.close(),
    };
  }
  // Where this is not a worker, or the browser has no such handles: written when it is closed.
  const writable = await full(name, () => handle.createWritable({ keepExistingData: true }));
  return {
    size: (await handle.getFile()).size,
    write: (bytes, position) =>
      full(name, () => writable.write({ type: "write", data: bytes as Uint8Array<ArrayBuffer>, position })),
    read: async (at, length) =>
      new Uint8Array(await (await handle.getFile()).slice(at, at + length).arrayBuffer()),
    truncate: (size) => full(name, () => writable.truncate(size)),
    flush: async () => undefined,
    close: () => full(name, () => writable.close()),
  };
}

export async function writeWhole(
  directory: FileSystemDirectoryHandle,
  name: string,
  content: Uint8Array | string,
): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const file = await openToWrite(directory, name);
  try {
    await file.truncate(0);
    await file.write(bytes, 0);
    await file.flush();
  } finally {
    await file.close();
  }
}

/** Nothing happens for one that is absent. */
export async function removeEntry(directory: FileSystemDirectoryHandle, name: string): Promise<void> {
  await directory.removeEntry(name, { recursive: true }).catch(absent);
}

async function full<T>(name: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (isQuotaError(error)) throw storeFull(name, NO_ROOM, error);
    throw error;
  }
}

function isQuotaError(error: unknown): boolean {
  return (error as { name?: string } | undefined)?.name === "QuotaExceededError";
}

export function storeFull(where: string, message: string, cause?: unknown): LvsaError {
  return new LvsaError("STORE_FULL", message, {
    where,
    fix: "Remove models that are kept, free space on the disk, or use a folder on the disk instead.",
    cause,
  });
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
