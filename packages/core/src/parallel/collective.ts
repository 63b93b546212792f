/**
 * What work on several ranks needs from the outside: every rank hands in bytes and gets everyone's back. Ranks in one
 * process have `LocalCollective`; ranks in processes of their own that of `@lvsa/diffusion/node`, or one of the host's.
 */
import { ConfigError } from "@lvsa/runtime";

/** Bytes `start` to `end` (exclusive). */
export type ByteRange = readonly [start: number, end: number];

export interface Collective {
  /** 0 to worldSize - 1. */
  readonly rank: number;
  readonly worldSize: number;
  /**
   * Every rank's bytes, in rank order. All ranks must call it, in the same order. The given bytes must not change before
   * the promise settles; when it has, also by failing, nobody reads `bytes` or writes to `into` any more.
   * @param wanted the ranges that this rank takes of each rank's bytes, one after the other; default: all of them
   * @param into where they may be put to spare a copy, an array of their size for each rank
   * @returns for each rank its array of `into`, or a new one, which is the caller's
   */
  allGather(
    bytes: Uint8Array,
    wanted?: readonly (readonly ByteRange[])[],
    into?: readonly Uint8Array[],
  ): Promise<readonly Uint8Array[]>;
}

/**
 * Ranges of `bytes`, one after the other: a copy in `out`, by default a new array.
 * @throws ConfigError `COLLECTIVE_MISMATCH` where there are fewer bytes, or `out` has another size
 */
export function takeRanges(
  bytes: Uint8Array,
  ranges: readonly ByteRange[] | undefined,
  out?: Uint8Array,
): Uint8Array {
  const target = rangesTarget(bytes.byteLength, ranges, out);
  let at = 0;
  for (const [start, end] of ranges ?? [[0, bytes.byteLength]]) {
    target.set(bytes.subarray(start, end), at);
    at += end - start;
  }
  return target;
}

/**
 * Where ranges of what a rank gave are put: `out`, by default a new array of their size.
 * @param size bytes that the rank gave
 * @throws ConfigError `COLLECTIVE_MISMATCH` where there are fewer than wanted, or `out` has another size
 */
export function rangesTarget(
  size: number,
  ranges: readonly ByteRange[] | undefined,
  out?: Uint8Array,
): Uint8Array {
  const refuse = (message: string) =>
    new ConfigError("COLLECTIVE_MISMATCH", message, {
      fault: "run",
      fix: "Let all ranks run the same clip with the same settings.",
    });
  for (const [start, end] of ranges ?? []) {
    if (end > size) throw refuse(`bytes ${start} to ${end} were wanted of a rank that gave ${size}`);
  }
  const wanted = ranges?.reduce((sum, [start, end]) => sum + end - start, 0) ?? size;
  if (out && out.byteLength !== wanted) {
    throw refuse(`${wanted} bytes of a rank were to be put into ${out.byteLength}`);
  }
  return out ?? new Uint8Array(wanted);
}

interface Round {
  readonly parts: Map<number, Uint8Array>;
  /** Ranks that have taken what they wanted. */
  taken: number;
  readonly done: Promise<void>;
  readonly finish: () => void;
  readonly fail: (error: unknown) => void;
}

/** All ranks in one process: each runs until it needs the others. */
export class LocalCollective implements Collective {
  readonly rank: number;
  readonly worldSize: number;
  readonly #rounds: Map<number, Round>;
  #round = 0;

  private constructor(rank: number, worldSize: number, rounds: Map<number, Round>) {
    this.rank = rank;
    this.worldSize = worldSize;
    this.#rounds = rounds;
  }

  /**
   * Runs `body` once per rank and gives the results in rank order. When one rank fails, those that wait for it fail too, and
   * the error of the first is thrown once all have ended.
   * @throws ConfigError `COLLECTIVE_MISMATCH` when ranks do not gather equally often
   */
  static async run<T>(worldSize: number, body: (collective: Collective) => Promise<T>): Promise<T[]> {
    if (!Number.isInteger(worldSize) || worldSize < 1) {
      throw new ConfigError(
        "INVALID_WORLD_SIZE",
        `world size ${worldSize}; expected an integer of at least 1`,
      );
    }
    const rounds = new Map<number, Round>();
    const failures: unknown[] = [];
    const results = await Promise.all(
      Array.from({ length: worldSize }, async (_, rank) => {
        const collective = new LocalCollective(rank, worldSize, rounds);
        try {
          const result = await body(collective);
          collective.#leave(collective.#leftEarly());
          return result;
        } catch (error) {
          failures.push(error);
          collective.#leave(error);
          return undefined;
        }
      }),
    );
    if (failures.length > 0) throw failures[0];
    return results as T[];
  }

  async allGather(
    bytes: Uint8Array,
    wanted?: readonly (readonly ByteRange[])[],
    into?: readonly Uint8Array[],
  ): Promise<readonly Uint8Array[]> {
    const index = this.#round++;
    const round = this.#roundAt(index);
    round.parts.set(this.rank, bytes);
    if (round.parts.size === this.worldSize) round.finish();
    await round.done;
    // All ranks take theirs before anybody's promise settles: given memory may go then.
    const parts = Array.from({ length: this.worldSize }, (_, rank) =>
      takeRanges(round.parts.get(rank)!, wanted?.[rank], into?.[rank]),
    );
    round.taken += 1;
    if (round.taken === this.worldSize) this.#rounds.delete(index);
    return parts;
  }

  #roundAt(index: number): Round {
    let round = this.#rounds.get(index);
    if (!round) {
      let finish = () => {};
      let fail = (_: unknown) => {};
      const done = new Promise<void>((resolve, reject) => {
        finish = resolve;
        fail = reject;
      });
      // Nobody may be waiting when it fails.
      done.catch(() => {});
      round = { parts: new Map(), taken: 0, done, finish, fail };
      this.#rounds.set(index, round);
    }
    return round;
  }

  #leftEarly(): ConfigError {
    return new ConfigError(
      "COLLECTIVE_MISMATCH",
      `rank ${this.rank} of ${this.worldSize} gathered ${this.#round} times, another rank more often`,
      { fault: "run", fix: "Call allGather on every rank, in the same order." },
    );
  }

  /** This rank is through: whoever still waits for it, or will, waits in vain. */
  #leave(reason: unknown): void {
    this.#roundAt(this.#round).fail(reason);
  }
}
