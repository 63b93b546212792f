/**
 * What context parallelism needs from the outside: every rank hands in a tensor and gets everyone's back.
 * Ranks in other processes or on other devices bring their own implementation of `Collective`.
 */
import { ConfigError, type Tensor } from "@lvsa/runtime";

export interface Collective {
  /** 0 to worldSize - 1. */
  readonly rank: number;
  readonly worldSize: number;
  /**
   * Every rank's tensor, in rank order; undefined from ranks that have nothing to give. All ranks must call it,
   * in the same order. The given tensor stays the caller's; the results are the caller's to dispose of.
   */
  allGather(tensor: Tensor | undefined): Promise<readonly (Tensor | undefined)[]>;
}

type Part = Tensor | undefined;

interface Round {
  readonly parts: Map<number, Part>;
  readonly done: Promise<void>;
  readonly finish: () => void;
  readonly fail: (error: Error) => void;
}

/** All ranks in one process on one device: each runs until it needs the others, then the next one does. */
export class LocalCollective implements Collective {
  readonly rank: number;
  readonly worldSize: number;
  readonly #rounds: Round[];
  #round = 0;

  private constructor(rank: number, worldSize: number, rounds: Round[]) {
    this.rank = rank;
    this.worldSize = worldSize;
    this.#rounds = rounds;
  }

  /**
   * Runs `body` once per rank and gives the results in rank order. `body` starts on one rank after another and
   * waits only in `allGather`.
   * @throws ConfigError `COLLECTIVE_MISMATCH` when ranks do not gather equally often
   */
  static async run<T>(worldSize: number, body: (collective: Collective) => Promise<T>): Promise<T[]> {
    if (!Number.isInteger(worldSize) || worldSize < 1) {
      throw new ConfigError(
        "INVALID_WORLD_SIZE",
        `world size ${worldSize}; expected an integer of at least 1`,
      );
    }
    const rounds: Round[] = [];
    const ranks = Array.from(
      { length: worldSize },
      (_, rank) => new LocalCollective(rank, worldSize, rounds),
    );
    return Promise.all(
      ranks.map(async (collective) => {
        const result = await body(collective);
        collective.#leave();
        return result;
      }),
    );
  }

  async allGather(tensor: Part): Promise<readonly Part[]> {
    const round = this.#roundAt(this.#round++);
    // A view: each receiver owns what it gets, also after the giver has disposed of its tensor.
    round.parts.set(this.rank, tensor?.reshape(tensor.shape));
    if (round.parts.size === this.worldSize) round.finish();
    await round.done;
    const parts = Array.from({ length: this.worldSize }, (_, rank) => round.parts.get(rank));
    return parts.map((part) => part?.reshape(part.shape));
  }

  #roundAt(index: number): Round {
    let round = this.#rounds[index];
    if (!round) {
      const parts = new Map<number, Part>();
      let finish = () => {};
      let fail = (_: Error) => {};
      const done = new Promise<void>((resolve, reject) => {
        finish = resolve;
        fail = reject;
      });
      round = { parts, done, finish, fail };
      this.#rounds[index] = round;
    }
    return round;
  }

  /** This rank is through: whoever still waits for it waits in vain. */
  #leave(): void {
    const waiting = this.#rounds[this.#round];
    waiting?.fail(
      new ConfigError(
        "COLLECTIVE_MISMATCH",
        `rank ${this.rank} of ${this.worldSize} gathered ${this.#round} times, another rank more often`,
        { fault: "run", fix: "Call allGather on every rank, in the same order." },
      ),
    );
    for (const round of this.#rounds.slice(0, this.#round)) {
      round.parts.get(this.rank)?.dispose();
    }
  }
}
