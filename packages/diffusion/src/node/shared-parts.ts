/**
 * What ranks give one another, as files of a folder in memory (`/dev/shm`, else the folder for temporary files): written by
 * one rank, straight from the memory that it gives, and read by those that want a part of it, straight into theirs. Two for
 * each rank and group take turns: when a round is complete, everybody has read the one before it, so that a rank writes its
 * next part while others still read this one. Pages of a file stay when it is written again.
 *
 * A large part is spread over several files, since the system lets one write to a file at a time.
 */
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { type ByteRange, rangesTarget } from "@lvsa/core";
import { DeviceError } from "@lvsa/runtime";

/** Bytes of a part that follow one another in a file. */
const PIECE = 4 << 20;
/** Files of a part: as many as Node copies at the same time. */
const STRIPES = 4;

/** Some bytes of a part that lie in one file. */
interface Piece {
  readonly stripe: number;
  /** In the file. */
  readonly position: number;
  /** In the part. */
  readonly start: number;
  readonly end: number;
}

/** Bytes that this rank has copied from its memory to the others', and back. */
export interface Traffic {
  readonly givenBytes: number;
  readonly takenBytes: number;
}

export class SharedParts {
  readonly #folder: string;
  readonly #files = new Map<string, Promise<FileHandle>>();
  #givenBytes = 0;
  #takenBytes = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get traffic(): Traffic {
    return { givenBytes: this.#givenBytes, takenBytes: this.#takenBytes };
  }

  /** Nothing reads `bytes` when the promise has settled. @throws DeviceError `SHARED_MEMORY_FULL` */
  async give(group: string, rank: number, round: number, bytes: Uint8Array): Promise<void> {
    const all = piecesOf(0, bytes.byteLength);
    const byStripe = Array.from({ length: STRIPES }, (_, i) => all.filter(({ stripe }) => stripe === i));
    try {
      await settled(
        byStripe.map(async (pieces) => {
          for (const { stripe, position, start, end } of pieces) {
            const file = await this.#file(group, rank, round, stripe, "w");
            for (let at = start; at < end; ) {
              const { bytesWritten } = await file.write(bytes, at, end - at, position + at - start);
              at += bytesWritten;
              this.#givenBytes += bytesWritten;
            }
          }
        }),
      );
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

  /**
   * The wanted ranges of what a rank gave, one after the other; default: all `size` bytes. Nothing writes to `into` when
   * the promise has settled.
   * @returns `into`, or a new array
   * @throws ConfigError `COLLECTIVE_MISMATCH`
   */
  async take(
    group: string,
    rank: number,
    round: number,
    size: number,
    wanted: readonly ByteRange[] = [[0, size]],
    into?: Uint8Array,
  ): Promise<Uint8Array> {
    const out = rangesTarget(size, wanted, into);
    const reads: { readonly piece: Piece; readonly to: number }[] = [];
    let to = 0;
    for (const [first, last] of wanted) {
      for (const piece of piecesOf(first, last)) {
        reads.push({ piece, to });
        to += piece.end - piece.start;
      }
    }
    await settled(
      reads.map(async ({ piece: { stripe, position, start, end }, to }) => {
        const file = await this.#file(group, rank, round, stripe, "r");
        for (let at = start; at < end; ) {
          const { bytesRead } = await file.read(out, to + at - start, end - at, position + at - start);
          if (bytesRead === 0) throw new Error(`${this.#folder}: rank ${rank} gave less than it said`);
          at += bytesRead;
          this.#takenBytes += bytesRead;
        }
      }),
    );
    return out;
  }

  async close(): Promise<void> {
    const files = [...this.#files.values()];
    this.#files.clear();
    await Promise.allSettled(files.map(async (file) => (await file).close()));
  }

  #file(group: string, rank: number, round: number, stripe: number, flags: "r" | "w"): Promise<FileHandle> {
    const name = `${group}.${rank}.${round % 2}.${stripe}`;
    let file = this.#files.get(name);
    if (!file) {
      file = open(join(this.#folder, name), flags, 0o600);
      file.catch(() => {});
      this.#files.set(name, file);
    }
    return file;
  }
}

/** Bytes `start` to `end` of a part, as they lie in its files. */
function piecesOf(start: number, end: number): Piece[] {
  const pieces: Piece[] = [];
  for (let at = start; at < end; ) {
    const index = Math.floor(at / PIECE);
    const last = Math.min(end, (index + 1) * PIECE);
    const position = Math.floor(index / STRIPES) * PIECE + (at % PIECE);
    pieces.push({ stripe: index % STRIPES, position, start: at, end: last });
    at = last;
  }
  return pieces;
}

/** Waits for all, also when one fails: memory that they read or write may go then. */
async function settled(all: readonly Promise<void>[]): Promise<void> {
  for (const one of await Promise.allSettled(all)) if (one.status === "rejected") throw one.reason;
}
