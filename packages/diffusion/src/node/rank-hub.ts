/** Rank 0's part of a group of processes: who is there, which rounds are complete, and how a run ends that lost a rank. */
import { createServer, type Server, type Socket } from "node:net";
import { type Failure, listen, say, type Word } from "./rank-words.js";

/** Between the end of a rank's connection and that of the run. */
const GRACE_MILLISECONDS = 200;

interface Round {
  readonly members: readonly number[];
  readonly sizes: Map<number, number>;
  readonly timer: NodeJS.Timeout;
}

export interface RankHubOptions {
  readonly worldSize: number;
  readonly task: unknown;
  /** How long ranks wait for the last one of a round. */
  readonly timeoutSeconds: number;
  /** Members of a group by its name. */
  readonly members: (group: string) => readonly number[];
  /** Hears what other ranks would be told. */
  readonly hear: (words: Word) => void;
}

export class RankHub {
  readonly #options: RankHubOptions;
  readonly #server: Server;
  readonly #sockets = new Map<number, Socket>();
  readonly #done = new Set<number>();
  readonly #rounds = new Map<string, Round>();
  readonly #waiting: (() => void)[] = [];
  #failure: Failure | undefined;
  #isClosing = false;

  private constructor(options: RankHubOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#welcome(socket));
  }

  static async open(path: string, options: RankHubOptions): Promise<RankHub> {
    const hub = new RankHub(options);
    await new Promise<void>((resolve, reject) => {
      hub.#server.once("error", reject);
      hub.#server.listen(path, resolve);
    });
    return hub;
  }

  /** Waits until all ranks have joined, or one failed. */
  async complete(): Promise<void> {
    while (this.#sockets.size + this.#done.size < this.#options.worldSize - 1 && !this.#failure) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Waits until all other ranks are done, or one failed. */
  async finished(): Promise<void> {
    while (this.#done.size < this.#options.worldSize - 1 && !this.#failure) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  given(rank: number, group: string, round: number, size: number): void {
    const name = `${group}/${round}`;
    const members = this.#options.members(group);
    const known = this.#rounds.get(name) ?? this.#begin(name, members);
    known.sizes.set(rank, size);
    if (known.sizes.size < members.length) {
      this.#checkLeavers();
      return;
    }
    clearTimeout(known.timer);
    this.#rounds.delete(name);
    const sizes = members.map((member) => known.sizes.get(member) ?? 0);
    this.#tell(members, { kind: "round", group, round, sizes });
  }

  /** Ends the run on all ranks. The first failure counts. */
  fail(failure: Failure): void {
    if (this.#failure) return;
    this.#failure = failure;
    for (const { timer } of this.#rounds.values()) clearTimeout(timer);
    this.#rounds.clear();
    const all = Array.from({ length: this.#options.worldSize }, (_, rank) => rank);
    this.#tell(all, { kind: "failed", failure });
    this.#changed();
  }

  close(): void {
    this.#isClosing = true;
    for (const { timer } of this.#rounds.values()) clearTimeout(timer);
    for (const socket of this.#sockets.values()) socket.end();
    this.#server.close();
  }

  /** Rounds that wait for a rank that has left wait in vain. */
  #checkLeavers(): void {
    for (const { members, sizes } of this.#rounds.values()) {
      const gone = members.find((rank) => this.#done.has(rank) && !sizes.has(rank));
      if (gone === undefined) continue;
      this.fail({
        code: "COLLECTIVE_MISMATCH",
        message: `rank ${gone} has left, and another rank waits for it`,
        fix: "Let all ranks run the same clip with the same settings.",
      });
      return;
    }
  }

  #begin(name: string, members: readonly number[]): Round {
    const { timeoutSeconds } = this.#options;
    const sizes = new Map<number, number>();
    const timer = setTimeout(() => {
      const missing = members.filter((rank) => !sizes.has(rank)).join(", ");
      this.fail({
        code: "RANK_SILENT",
        message: `other ranks waited ${timeoutSeconds} s for rank ${missing}`,
        fix: "See what that process does; a card that hangs needs its driver to be restarted.",
      });
    }, timeoutSeconds * 1000);
    timer.unref();
    const round = { members, sizes, timer };
    this.#rounds.set(name, round);
    return round;
  }

  #welcome(socket: Socket): void {
    let rank: number | undefined;
    const hear = (words: Word) => {
      switch (words.kind) {
        case "join": {
          const { worldSize, task } = this.#options;
          if (words.rank < 1 || words.rank >= worldSize || this.#sockets.has(words.rank))
            return socket.destroy();
          rank = words.rank;
          this.#sockets.set(rank, socket);
          say(socket, { kind: "welcome", worldSize, task });
          if (this.#failure) say(socket, { kind: "failed", failure: this.#failure });
          return this.#changed();
        }
        case "given":
          if (rank !== undefined) this.given(rank, words.group, words.round, words.size);
          return;
        case "done":
          if (rank !== undefined) this.#done.add(rank);
          this.#checkLeavers();
          return this.#changed();
        case "failed":
          return this.fail({ ...words.failure, message: `rank ${rank}: ${words.failure.message}` });
      }
    };
    listen(socket, hear, () => {
      if (rank === undefined || this.#isClosing || this.#done.has(rank)) return;
      // Who started its process may know more, and say so first.
      setTimeout(() => {
        this.fail({
          code: "RANK_LOST",
          message: `the process of rank ${rank} of ${this.#options.worldSize} ended before the run did`,
          fix: "Look at the system's log (out of memory?), and continue the run or run it again.",
        });
      }, GRACE_MILLISECONDS);
    });
  }

  #tell(ranks: readonly number[], words: Word): void {
    for (const rank of ranks) {
      if (rank === 0) this.#options.hear(words);
      const socket = this.#sockets.get(rank);
      if (socket) say(socket, words);
    }
  }

  #changed(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
