/**
 * Keeps what a run has computed: the state after a step, from time to time and when it ends before its time, and the
 * latents once denoising is over. The file goes when the results are written.
 */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import type { HostTensor, RunState } from "@lvsa/diffusion";
import { AbortError, isLvsaError } from "@lvsa/runtime";
import { Interruption } from "../exit-codes.js";
import { shellWord } from "../output/shell-word.js";
import { writeBeside } from "./latents-file.js";
import { encodeKeptLatents, encodeKeptRun, type RunRecord } from "./run-record.js";

/** Runs that are shorter are not worth a file. */
const WORTH_MS = 60_000;
/** Between two files, where their number is not given. */
const BETWEEN_MS = 30_000;
/** A file may take this part of the time. */
const SHARE = 0.05;

export interface RunKeeperOptions {
  /** Absolute path that the files are called after. */
  readonly output: string;
  /** Steps between two files; 0: none; undefined: runs above a minute, by time. */
  readonly every: number | undefined;
  /** The file that the run goes on from. */
  readonly from?: string | undefined;
  readonly notice: (line: string) => void;
  /** Milliseconds; for tests. */
  readonly now?: () => number;
}

/** How the run can be brought to its end. */
export interface Kept {
  readonly path: string;
  readonly kind: "state" | "latents";
  /** Steps done. */
  readonly step: number;
}

type Work =
  | { readonly kind: "state"; readonly state: RunState; readonly step: number }
  | { readonly kind: "latents"; readonly latents: HostTensor; readonly step: number };

export class RunKeeper {
  readonly #options: RunKeeperOptions;
  readonly #now: () => number;
  readonly #started: number;
  #record: RunRecord | undefined;
  #work: Work | undefined;
  /** Of this process. */
  #firstStep: { step: number; at: number } | undefined;
  #writtenAt: number | undefined;
  #writeMs = 0;
  /** The newest file that is there. */
  #file: { path: string; work: Work } | undefined;
  #hasFailed = false;
  readonly #paths: Record<Work["kind"], string>;

  constructor(options: RunKeeperOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#started = this.#now();
    const path = (kind: Work["kind"]) => {
      const name = (i: number) => `${options.output}.${kind}${i === 1 ? "" : `-${i}`}.safetensors`;
      let i = 1;
      // What an earlier run left is not this one's to overwrite.
      while (existsSync(name(i)) && name(i) !== options.from) i++;
      if (i > 1) {
        const command = kind === "state" ? "lvsa resume" : "lvsa decode";
        options.notice(`An earlier run of this output is not over: ${command} ${shellWord(name(i - 1))}`);
      }
      return name(i);
    };
    this.#paths = { state: path("state"), latents: path("latents") };
  }

  /** Before the first step. */
  describe(record: RunRecord): void {
    this.#record = record;
  }

  /** Goes on from a state, which is in its file already. */
  startFrom(state: RunState): void {
    this.#work = { kind: "state", state, step: state.step };
    if (this.#options.from !== undefined) this.#file = { path: this.#options.from, work: this.#work };
  }

  /** After every step. Writing that fails is said, once, and does not end the run. */
  async afterStep(state: RunState): Promise<void> {
    this.#work = { kind: "state", state, step: state.step };
    this.#firstStep ??= { step: state.step, at: this.#now() };
    const isLast = state.step === state.timesteps.length;
    if (!isLast && this.#isDue(state)) await this.#tryWrite();
  }

  /** Denoising is over. */
  async finished(latents: HostTensor, steps: number): Promise<void> {
    this.#work = { kind: "latents", latents, step: steps };
    if (this.#isKeeping(this.#elapsed)) await this.#tryWrite();
  }

  /** The results are written. */
  async done(): Promise<void> {
    if (this.#file) await rm(this.#file.path, { force: true });
    if (this.#options.from !== undefined) await rm(this.#options.from, { force: true });
    this.#file = undefined;
  }

  /**
   * The run ends with an error: what is not in a file yet goes into one. Undefined where nothing is worth it.
   *
   * @throws nothing: where no file can be written, that is said
   */
  async keep(error: unknown): Promise<Kept | undefined> {
    const work = this.#work;
    if (!work) return undefined;
    const isLeft = isStop(error) && !isPause(error);
    if (isLeft && this.#options.from === undefined && !this.#isKeeping(this.#elapsed)) {
      // Who stops a short run wants nothing of it.
      if (this.#file) await rm(this.#file.path, { force: true });
      return undefined;
    }
    if (this.#file?.work !== work) {
      const [first, ...others] = this.#folders(work.kind);
      for (const path of [first!, ...others]) {
        if (await this.#write(path).catch((failure: unknown) => this.#sayFailed(path, failure))) break;
      }
    }
    return this.#file && { path: this.#file.path, kind: this.#file.work.kind, step: this.#file.work.step };
  }

  #folders(kind: Work["kind"]): string[] {
    const path = this.#paths[kind];
    const elsewhere = [process.cwd(), tmpdir()].filter((folder) => resolve(folder) !== dirname(path));
    const free = elsewhere
      .map((folder) => join(folder, basename(path)))
      .filter((other) => !existsSync(other));
    return [path, ...free];
  }

  /** Whether files are written at all. @param total milliseconds that the run takes, as far as is known */
  #isKeeping(total: number): boolean {
    const { every } = this.#options;
    return every === undefined ? total > WORTH_MS : every > 0;
  }

  get #elapsed(): number {
    return this.#now() - this.#started;
  }

  /** What all steps will have taken. The first one, which compiles shaders, says nothing of the others. */
  #expected({ step, timesteps }: RunState): number {
    const { step: first, at } = this.#firstStep!;
    const each = step > first ? (this.#now() - at) / (step - first) : 0;
    return this.#elapsed + each * (timesteps.length - step);
  }

  #isDue(state: RunState): boolean {
    const { every } = this.#options;
    if (every !== undefined) return every > 0 && state.step % every === 0;
    if (!this.#isKeeping(this.#expected(state))) return false;
    if (this.#writtenAt === undefined) return true;
    return this.#now() - this.#writtenAt >= Math.max(BETWEEN_MS, this.#writeMs / SHARE);
  }

  async #tryWrite(): Promise<void> {
    const path = this.#paths[this.#work!.kind];
    try {
      await this.#write(path);
    } catch (error) {
      this.#sayFailed(path, error);
    }
  }

  #sayFailed(path: string, error: unknown): false {
    if (!this.#hasFailed)
      this.#options.notice(`warning: the run's state could not be written: ${path}: ${messageOf(error)}`);
    this.#hasFailed = true;
    return false;
  }

  async #write(path: string): Promise<true> {
    const work = this.#work;
    const record = this.#record;
    if (!work || !record) throw new Error("nothing to keep");
    const began = this.#now();
    const bytes =
      work.kind === "state" ? encodeKeptRun(work.state, record) : encodeKeptLatents(work.latents, record);
    await writeBeside(path, bytes);
    const older = this.#file?.path;
    this.#file = { path, work };
    if (older !== undefined && older !== path) await rm(older, { force: true });
    this.#hasFailed = false;
    this.#writtenAt = this.#now();
    this.#writeMs = this.#writtenAt - began;
    return true;
  }
}

/** How to go on, as a line for people. @param model as it was given; undefined: the one that ships with lvsa */
export function howToGoOn(
  kept: Kept,
  error: unknown,
  output: string | undefined,
  model: string | undefined,
): string {
  const file = shellWord(kept.path);
  if (kept.kind === "state") {
    const precision = isLvsaError(error) && error.code === "NOT_FINITE" ? " --precision f32" : "";
    return `The run is kept as it was after step ${kept.step}: lvsa resume ${file}${precision}`;
  }
  const from = model === undefined ? "" : ` --model ${shellWord(model)}`;
  // Tiles need less.
  const tiles = isLvsaError(error) && error.code === "OUT_OF_MEMORY" ? " --vae-tiling" : "";
  return `The latents are kept: lvsa decode ${file}${from}${tiles} --output ${shellWord(output ?? "lvsa.mp4")}`;
}

function isStop(error: unknown): boolean {
  return error instanceof AbortError || (isLvsaError(error) && error.code === "ABORTED");
}

function isPause(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof Interruption && error.cause.isPause;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
