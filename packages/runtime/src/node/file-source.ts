/** Files and folders on disk. */
import { constants, type Stats } from "node:fs";
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { WeightsError } from "../errors.js";
import { type ByteSource, readTarget } from "../weights/byte-source.js";
import { decodeText, type FolderReader, joinPath } from "../weights/folder.js";
import { largestFile, tooLarge } from "../weights/folder-limits.js";
import { readFailed, weightsError } from "../weights/header.js";
import type { WeightsFile } from "../weights/open-file.js";

// One read call takes at most 2 GiB - 1 bytes.
const LARGEST_READ = 2 ** 30;

/**
 * Opens a file for reading at any position. Pipes, devices and sockets are refused: reading one may never end, and
 * opening one may do something.
 * @throws WeightsError `NOT_FOUND`, `READ_FAILED`
 */
export async function fileSource(path: string): Promise<ByteSource> {
  let file: FileHandle | undefined;
  try {
    requireFile(path, await stat(path));
    // Without waiting, should it have become a pipe in between.
    file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stats = await file.stat();
    requireFile(path, stats);
    return new NodeFileSource(file, path, stats.size);
  } catch (cause) {
    await file?.close();
    throw cause instanceof WeightsError ? cause : fileError(path, cause);
  }
}

function requireFile(path: string, stats: Stats): void {
  if (stats.isFile()) return;
  if (stats.isDirectory()) {
    throw weightsError("NOT_A_FILE", "this is a folder.", {
      where: path,
      fix: "Give the path of a file, not of a folder.",
    });
  }
  throw weightsError("NOT_A_FILE", "this is a pipe, a device or a socket, not a file.", {
    where: path,
    fix: "Copy what it gives to a file.",
  });
}

class NodeFileSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  #file: FileHandle | undefined;

  constructor(file: FileHandle, name: string, size: number) {
    this.#file = file;
    this.name = name;
    this.size = size;
  }

  async read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    const target = readTarget(this, offset, length, into);
    for (let filled = 0; filled < length; ) {
      if (!this.#file) throw readFailed("the file was closed before.", { where: this.name });
      const wanted = Math.min(length - filled, LARGEST_READ);
      const { bytesRead } = await this.#file
        .read(target, filled, wanted, offset + filled)
        .catch((cause: unknown) => {
          throw fileError(this.name, cause);
        });
      if (bytesRead === 0) {
        throw weightsError(
          "TRUNCATED",
          `the file had ${this.size} bytes when it was opened and now ends at byte ${offset + filled}.`,
          { where: this.name, fix: "Start again when nothing else writes to the file." },
        );
      }
      filled += bytesRead;
    }
    return target;
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}

/** A file of weights on disk, opened when it is read. */
export function nodeFile(path: string): WeightsFile {
  return { name: path, open: () => fileSource(path) };
}

/** A folder on disk. It need not exist: reading from it says so. */
export function nodeFolder(directory: string): FolderReader {
  const full = (path: string) => join(directory, joinPath(path));
  // Not `readFile`: its `Buffer` behaves unlike a plain array (`slice` shares memory).
  const readBytes = async (path: string): Promise<Uint8Array> => {
    const source = await fileSource(full(path));
    try {
      const most = largestFile(path);
      if (source.size > most) throw tooLarge(source.name, most, source.size);
      return await source.read(0, source.size);
    } finally {
      await source.close();
    }
  };
  return {
    name: directory,
    readBytes,
    readText: async (path) => decodeText(await readBytes(path), full(path)),
    exists: (path) =>
      stat(full(path)).then(
        () => true,
        (cause: NodeJS.ErrnoException) => {
          // What may not be looked at, or leads in a circle, is there.
          if (cause.code === "ENOENT" || cause.code === "ENOTDIR") return false;
          throw fileError(full(path), cause);
        },
      ),
    list: (path = "") =>
      readdir(full(path)).then(
        (names) => names.sort(),
        () => [],
      ),
    open: (path) => fileSource(full(path)),
  };
}

function fileError(path: string, cause: unknown): Error {
  const { code, message } = cause as { code?: string; message?: string };
  if (code === "ENOENT" || code === "ENOTDIR") {
    return weightsError("NOT_FOUND", "there is no such file.", {
      where: path,
      fix: "Check the path.",
      cause,
    });
  }
  if (code === "ELOOP") {
    return weightsError("NOT_READABLE", "the links lead in a circle.", {
      where: path,
      fix: "Remove the link, and download what it should lead to.",
      cause,
    });
  }
  if (/^(EACCES|EPERM|ENAMETOOLONG|EINVAL)$/.test(code ?? "")) {
    return weightsError("NOT_READABLE", `the file can not be read: ${message}`, {
      where: path,
      fix: "Check the path and the file's permissions.",
      cause,
    });
  }
  return readFailed(`the file can not be read: ${message}`, {
    where: path,
    fix: "Check the disk, and try again.",
    cause,
  });
}
