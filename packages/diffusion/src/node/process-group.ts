/**
 * Ranks that are processes of one machine, each with a device of its own. Rank 0 opens the group and starts the others,
 * which join it by its address. Bytes go through memory that all see, words through a socket that only the same user opens.
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ByteRange, type Collective, takeRanges } from "@lvsa/core";
import { ConfigError, checkOptionKinds, DeviceError, isLvsaError, type OptionKinds } from "@lvsa/runtime";
import { RankHub } from "./rank-hub.js";
import { type Failure, listen, say, type Word } from "./rank-words.js";
import { SharedParts, type Traffic } from "./shared-parts.js";

export interface ProcessGroupOptions {
  readonly worldSize: number;
  /** What joining ranks are told: anything that JSON holds. */
  readonly task?: unknown;
  /** Where bytes are exchanged. Default: `/dev/shm`, else the folder for temporary files. */
  readonly folder?: string;
  /** How long ranks wait for the last one before the run ends with `RANK_SILENT`. Default half an hour. */
  readonly timeoutSeconds?: number;
}

const GROUP_KINDS: OptionKinds<ProcessGroupOptions> = {
  ...{ worldSize: "any", task: "any", folder: "string", timeoutSeconds: "number" },
};

interface Waiting {
  readonly resolve: (sizes: readonly number[]) => void;
  readonly reject: (error: Error) => void;
}

export class ProcessGroup implements AsyncDisposable {
  readonly rank: number;
  readonly worldSize: number;
  /** What `join` takes. */
  readonly address: string;
  /** As rank 0 gave it. */
  readonly task: unknown;
  readonly #parts: SharedParts;
  readonly #waiting = new Map<string, Waiting>();
  readonly #lost = new AbortController();
  #hub: RankHub | undefined;
  #socket: Socket | undefined;
  #closed = false;
  /** Rank 0 can not tidy up any more. */
  #isLeaderGone = false;

  private constructor(address: string, rank: number, worldSize: number, task: unknown) {
    this.address = address;
    this.rank = rank;
    this.worldSize = worldSize;
    this.task = task;
    this.#parts = new SharedParts(address);
  }

  /** Rank 0. @throws UsageError `BAD_OPTION`; ConfigError `INVALID_WORLD_SIZE` */
  static async open(options: ProcessGroupOptions): Promise<ProcessGroup> {
    checkOptionKinds(GROUP_KINDS, options, "ProcessGroup.open");
    const { worldSize, task = null, timeoutSeconds = 1800 } = options;
    if (!Number.isInteger(worldSize) || worldSize < 1) {
      throw new ConfigError(
        "INVALID_WORLD_SIZE",
        `${worldSize} ranks; expected a whole number of at least 1`,
      );
    }
    const folder = options.folder ?? (existsSync("/dev/shm") ? "/dev/shm" : tmpdir());
    // Nobody else's: `mkdtemp` makes it for this user alone.
    const address = await mkdtemp(join(folder, "lvsa-ranks-"));
    const group = new ProcessGroup(address, 0, worldSize, task);
    group.#hub = await RankHub.open(socketOf(address), {
      ...{ worldSize, task, timeoutSeconds },
      members: membersOf,
      hear: (words) => group.#hear(words),
    });
    return group;
  }

  /** Any other rank. @throws DeviceError `RANK_LOST` when rank 0 is not there */
  static async join(address: string, rank: number): Promise<ProcessGroup> {
    const socket = connect(socketOf(address));
    const early: Word[] = [];
    let hear = (words: Word): void => {
      early.push(words);
    };
    let end = () => {};
    const welcome = await new Promise<Extract<Word, { kind: "welcome" }>>((resolve, reject) => {
      end = () => reject(rankZeroLost());
      listen(
        socket,
        (words) => (words.kind === "welcome" ? resolve(words) : hear(words)),
        () => end(),
      );
      socket.on("connect", () => say(socket, { kind: "join", rank }));
    });
    const group = new ProcessGroup(address, rank, welcome.worldSize, welcome.task);
    group.#socket = socket;
    hear = (words) => group.#hear(words);
    end = () => group.#rankZeroEnded();
    for (const words of early) group.#hear(words);
    if (socket.destroyed) group.#rankZeroEnded();
    return group;
  }

  /** Fires when the run can not go on because a rank failed or is gone; its reason is the error. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** What this rank has given and taken so far, in all groups; its own parts cost nothing, and are not counted. */
  get traffic(): Traffic {
    return this.#parts.traffic;
  }

  /** Rank 0: waits until all others have joined. @throws what made one fail */
  async complete(): Promise<void> {
    await this.#hub?.complete();
    this.#lost.signal.throwIfAborted();
  }

  /**
   * Some ranks of the group, which exchange bytes by themselves; this one must be among them. All make the same groups.
   * @throws ConfigError `COLLECTIVE_MISMATCH` when it is not
   */
  collective(
    ranks: readonly number[] = Array.from({ length: this.worldSize }, (_, rank) => rank),
  ): Collective {
    const place = ranks.indexOf(this.rank);
    if (place < 0) {
      throw new ConfigError("COLLECTIVE_MISMATCH", `rank ${this.rank} is not one of ${ranks.join(", ")}`, {
        fault: "run",
      });
    }
    const name = ranks.join("-");
    let round = 0;
    return {
      rank: place,
      worldSize: ranks.length,
      allGather: (bytes, wanted, into) => this.#allGather(name, ranks, round++, bytes, wanted, into),
    };
  }

  /** Ends the run on all ranks, with the error of this one; rank 0 may speak for one that can not. */
  fail(error: unknown, rank = this.rank): void {
    const failure = failureOf(error);
    if (this.#hub)
      this.#hub.fail(rank === 0 ? { ...failure, message: `rank 0: ${failure.message}` } : failure);
    else if (this.#socket) say(this.#socket, { kind: "failed", failure });
  }

  /** This rank has nothing more to give: the others may go on without it. Rank 0 waits for them first. */
  async leave(): Promise<void> {
    if (this.#socket) say(this.#socket, { kind: "done" });
    await this.#hub?.finished();
    await this.close();
  }

  /** Frees what the group holds. Other ranks that still need it end with `RANK_LOST`. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#hub?.close();
    // Last words are heard.
    const socket = this.#socket;
    if (socket && !socket.destroyed) await new Promise<void>((resolve) => socket.end(resolve));
    await this.#parts.close();
    if (this.rank === 0 || this.#isLeaderGone) await rm(this.address, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #allGather(
    name: string,
    ranks: readonly number[],
    round: number,
    bytes: Uint8Array,
    wanted: readonly (readonly ByteRange[])[] | undefined,
    into: readonly Uint8Array[] | undefined,
  ): Promise<readonly Uint8Array[]> {
    this.#lost.signal.throwIfAborted();
    await this.#parts.give(name, this.rank, round, bytes);
    const sizes = await new Promise<readonly number[]>((resolve, reject) => {
      if (this.#lost.signal.aborted) return reject(this.#lost.signal.reason);
      this.#waiting.set(`${name}/${round}`, { resolve, reject });
      if (this.#hub) this.#hub.given(0, name, round, bytes.byteLength);
      else say(this.#socket!, { kind: "given", group: name, round, size: bytes.byteLength });
    });
    const takes = ranks.map(async (rank, i) =>
      rank === this.rank
        ? takeRanges(bytes, wanted?.[i], into?.[i])
        : this.#parts.take(name, rank, round, sizes[i]!, wanted?.[i], into?.[i]),
    );
    // The caller's memory is left alone after a failure too.
    await Promise.allSettled(takes);
    return Promise.all(takes);
  }

  #hear(words: Word): void {
    if (words.kind === "failed") this.#end(errorOf(words.failure));
    if (words.kind !== "round") return;
    const name = `${words.group}/${words.round}`;
    this.#waiting.get(name)?.resolve(words.sizes);
    this.#waiting.delete(name);
  }

  #end(error: Error): void {
    if (this.#closed) return;
    this.#lost.abort(error);
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #rankZeroEnded(): void {
    if (this.#closed) return;
    this.#isLeaderGone = true;
    this.#end(rankZeroLost());
  }
}

function socketOf(address: string): string {
  if (process.platform !== "win32") return join(address, "words");
  return `\\\\.\\pipe\\${address.replaceAll(/[\\/:]/g, "-")}`;
}

/** Names of groups are their ranks. */
function membersOf(group: string): number[] {
  return group.split("-").map(Number);
}

function failureOf(error: unknown): Failure {
  if (!isLvsaError(error))
    return { code: "RANK_FAILED", message: (error as Error)?.message ?? String(error) };
  const { code, message, fix, fault } = error;
  return { code, message, fault, ...(fix ? { fix } : {}) };
}

function errorOf({ code, message, fix, fault = "run" }: Failure): DeviceError {
  return new DeviceError(code, message, { fault, ...(fix ? { fix } : {}) });
}

function rankZeroLost(): DeviceError {
  return new DeviceError("RANK_LOST", "the process of rank 0, which leads the run, has ended");
}
