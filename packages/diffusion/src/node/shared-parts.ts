/**
 * What ranks give one another, as files of a folder in memory (`/dev/shm`, else the folder for temporary files): written by
 * one rank, read by those that want a part of it. Two for each rank and group take turns: when a round is complete,
 * everybody has read the one before it.
 */
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { type ByteRange, takeRanges } from "@lvsa/core";
import { DeviceError } from "@lvsa/runtime";

/** The most that one call of the system takes. */
const CHUNK = 1 << 30;

export class SharedParts {
  readonly #folder: string;
  readonly #files = new Map<string, Promise<FileHandle>>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @throws DeviceError `SHARED_MEMORY_FULL` */
  async give(group: string, rank: number, round: number, bytes: Uint8Array): Promise<void> {
    const file = await this.#file(group, rank, round, "w");
    try {
      for (let at = 0; at < bytes.byteLength; ) {
        const size = Math.min(CHUNK, bytes.byteLength - at);
        at += (await file.write(bytes, at, size, at)).bytesWritten;
      }
    } catch (cause) {
      throw new DeviceError(
        "SHARED_MEMORY_FULL",
        `${bytes.byteLength} bytes for other ranks could not be written: ${(cause as Error).message}`,
        {
          where: this.#folder,
          fix: "Give the container or the machine more shared memory (docker run --shm-size=8g).",
          cause,
        },
      );
    }
  }

  /** The wanted ranges of what a rank gave, one after the other; default: all `size` bytes. */
  async take(
    group: string,
    rank: number,
    round: number,
    size: number,
    wanted: readonly ByteRange[] = [[0, size]],
  ): Promise<Uint8Array> {
    const out = new Uint8Array(wanted.reduce((sum, [start, end]) => sum + end - start, 0));
    if (wanted.some(([, end]) => end > size)) return takeRanges(new Uint8Array(size), wanted);
    if (out.byteLength === 0) return out;
    const file = await this.#file(group, rank, round, "r");
    let to = 0;
    for (const [start, end] of wanted) {
      for (let at = start; at < end; ) {
        const { bytesRead } = await file.read(out, to, Math.min(CHUNK, end - at), at);
        if (bytesRead === 0) throw new Error(`${this.#folder}: rank ${rank} gave less than it said`);
        at += bytesRead;
        to += bytesRead;
      }
    }
    return out;
  }

  async close(): Promise<void> {
    const files = [...this.#files.values()];
    this.#files.clear();
    await Promise.allSettled(files.map(async (file) => (await file).close()));
  }

  #file(group: string, rank: number, round: number, flags: "r" | "w"): Promise<FileHandle> {
    const name = `${group}.${rank}.${round % 2}`;
    let file = this.#files.get(name);
    if (!file) {
      file = open(join(this.#folder, name), flags, 0o600);
      file.catch(() => {});
      this.#files.set(name, file);
    }
    return file;
  }
}
