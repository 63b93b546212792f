/** What a run says, in three voices: text for people, JSON lines for programs, nothing. */

import type { StageReport, StepReport } from "@lvsa/diffusion";
import { isLvsaError, printable } from "@lvsa/runtime";
import type { LookForDrivers } from "@lvsa/runtime/node";
import { describeError } from "../exit-codes.js";
import type { CommandIo } from "../io.js";
import { withFlags } from "../options/generation-flags.js";
import { formatBytes } from "../output/units.js";
import type { DrawnPicture } from "../preview/drawn-picture.js";
import { type Progress, progressLine, secondsPerStep } from "./progress-line.js";
import { ProgressMeter } from "./progress-meter.js";
import type { Kept } from "./run-keeper.js";

export interface RunReporter extends Disposable {
  /** The work begins: `total` steps, where they are known, of which `done` were done before. */
  begin(total: number | undefined, done: number): void;
  /** A line of the run's log, e.g. `[LVSA] …`. */
  log(line: string): void;
  /** What the user asked for: masks, tables. The text ends with a newline; programs get `fields`, if given. */
  print(text: string, kind: string, fields?: Readonly<Record<string, unknown>>): void;
  /** Drawn on a terminal, over the last one where nothing was said since. */
  picture(picture: DrawnPicture): void;
  /** See `CommandIo`. */
  readonly lookForDrivers: LookForDrivers | undefined;
  /** A remark beside the run. */
  notice(line: string): void;
  stage(report: StageReport): void;
  step(report: StepReport): void;
  /** What a run that fails leaves, and how to go on with it. */
  kept(kept: Kept, line: string): void;
  /** The last word of a run that succeeded. */
  result(fields: Readonly<Record<string, unknown>>, line: string): void;
  error(error: unknown): void;
}

export function createReporter(
  io: CommandIo,
  voice: { readonly json: boolean; readonly quiet: boolean },
  now: () => number = () => performance.now(),
): RunReporter {
  if (voice.json) return new JsonReporter(io);
  return voice.quiet ? new QuietReporter(io) : new TextReporter(io, now);
}

/** Errors, and what was asked for by name. */
class QuietReporter implements RunReporter {
  protected readonly io: CommandIo;
  readonly lookForDrivers: LookForDrivers | undefined;

  constructor(io: CommandIo) {
    this.io = io;
    this.lookForDrivers = io.lookForDrivers;
  }

  begin(_total: number | undefined, _done: number): void {}
  log(_line: string): void {}
  picture(_picture: DrawnPicture): void {}
  notice(_line: string): void {}
  stage(_report: StageReport): void {}
  step(_report: StepReport): void {}
  result(_fields: Readonly<Record<string, unknown>>, _line: string): void {}

  print(text: string, _kind: string): void {
    this.io.out(text);
  }

  /** Nobody wants to look for hours of work. */
  kept(_kept: Kept, line: string): void {
    this.io.err(`${line}\n`);
  }

  error(error: unknown): void {
    this.io.err(`error: ${describeError(error)}\n`);
  }

  [Symbol.dispose](): void {}
}

/** How often a terminal's line is drawn again while nothing is heard. */
const TICK_MS = 1000;

class TextReporter extends QuietReporter {
  readonly #meter: ProgressMeter;
  readonly #now: () => number;
  readonly #seconds: number[] = [];
  #began: number;
  #steps: { done: number; total: number } | undefined;
  #part: number | undefined;
  #activity: Progress["activity"];
  #memory: string | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Lines of the picture that stands above the line of progress; 0 where something else does. */
  #rows = 0;

  constructor(io: CommandIo, now: () => number) {
    super(io);
    this.#now = now;
    this.#began = now();
    this.#meter = new ProgressMeter({ write: io.redraw, isTerminal: io.isTerminal, now });
  }

  /** From here on the line shows that time passes, also where one piece of work takes minutes. */
  override begin(total: number | undefined, done: number): void {
    if (total !== undefined) this.#steps = { done, total };
    this.#draw(true);
    if (!this.io.isTerminal) return;
    this.#timer = setInterval(() => this.#draw(), TICK_MS);
    this.#timer.unref();
  }

  override [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#meter.clear();
  }

  override log(line: string): void {
    this.print(`${line}\n`);
  }

  override print(text: string): void {
    this.#meter.clear();
    this.#rows = 0;
    this.io.out(text);
  }

  override picture({ text, rows }: DrawnPicture): void {
    this.#meter.clear();
    this.io.redraw(`${this.#rows > 0 ? `\x1b[${this.#rows}A` : ""}${text}`);
    this.#rows = rows;
    this.#draw(true);
  }

  override notice(line: string): void {
    this.#meter.clear();
    this.#rows = 0;
    this.io.err(`${line}\n`);
  }

  override stage({ stage, component, done, total }: StageReport): void {
    const share = total > 0 ? done / total : 1;
    if (stage === "denoise") {
      const isNew = this.#activity !== undefined;
      this.#activity = undefined;
      this.#part = done - Math.floor(done);
      if (this.#steps) this.#steps.done = Math.floor(done);
      this.#draw(isNew);
      return;
    }
    const names = {
      load: [`loading ${component ?? "weights"}`, "loading"],
      "encode-prompt": ["encoding the prompt", "encoding"],
      "encode-image": ["encoding the image", "encoding"],
      decode: ["decoding", "decoding"],
    } as const;
    const [name, short] = names[stage];
    const isNew = name !== this.#activity?.name;
    this.#activity = { name, short, share };
    this.#draw(isNew || (stage === "decode" && done === total));
  }

  override step({ index, count, seconds, memory }: StepReport): void {
    this.#seconds.push(seconds);
    this.#steps = { done: index + 1, total: count };
    this.#part = undefined;
    this.#activity = undefined;
    this.#memory = `${formatBytes(memory.liveBytes)} (peak ${formatBytes(memory.peakBytes)})`;
    this.#draw(this.#seconds.length === 1 || index === count - 1);
  }

  override result(_fields: Readonly<Record<string, unknown>>, line: string): void {
    this.print(`${line}\n`);
  }

  override kept(_kept: Kept, line: string): void {
    this.notice(line);
  }

  override error(error: unknown): void {
    this.#meter.clear();
    super.error(error);
  }

  #draw(force = false): void {
    const steps = this.#steps;
    const each = this.#seconds.length > 0 ? secondsPerStep(this.#seconds) : undefined;
    const left = steps && steps.total - steps.done - (this.#part ?? 0);
    // What is left when the steps are done is decoding, of which the steps' pace says nothing.
    const isPaced = each !== undefined && left !== undefined && (left > 0 || !this.#activity);
    const progress: Progress = {
      ...{ steps, part: this.#part, activity: this.#activity, memory: this.#memory },
      elapsed: (this.#now() - this.#began) / 1000,
      ...(isPaced ? { each, rest: each * left } : {}),
    };
    this.#meter.show(progressLine(progress, this.io.columns?.()), force);
  }
}

const STAGE_MS = 1000;

class JsonReporter implements RunReporter {
  readonly #io: CommandIo;
  readonly lookForDrivers: LookForDrivers | undefined;
  readonly #seconds: number[] = [];
  #stage = "";
  #stageAt = 0;

  constructor(io: CommandIo) {
    this.#io = io;
    this.lookForDrivers = io.lookForDrivers;
  }

  begin(total: number | undefined, done: number): void {
    this.#emit("start", { steps: total ?? null, done });
  }

  log(line: string): void {
    this.#emit("log", { line });
  }

  print(text: string, kind: string, fields?: Readonly<Record<string, unknown>>): void {
    this.#emit(kind, fields ?? { text });
  }

  /** Terminals have them; `--json` and `--preview terminal` exclude each other. */
  picture(_picture: DrawnPicture): void {}

  notice(line: string): void {
    this.#emit("notice", { line });
  }

  /** Beginning and end of every stage, and at most one event per second between. */
  stage(report: StageReport): void {
    const name = `${report.stage} ${report.component ?? ""}`;
    const now = performance.now();
    const isDone = report.done >= report.total;
    if (name === this.#stage && !isDone && now - this.#stageAt < STAGE_MS) return;
    this.#stage = name;
    this.#stageAt = now;
    this.#emit("stage", { ...report });
  }

  step({ index, count, timestep, seconds, memory }: StepReport): void {
    this.#seconds.push(seconds);
    const each = secondsPerStep(this.#seconds);
    const eta_seconds = Number((each * (count - index - 1)).toFixed(3));
    this.#emit("step", {
      step: index,
      steps: count,
      timestep,
      seconds: Number(seconds.toFixed(3)),
      eta_seconds,
      memory: {
        live_bytes: memory.liveBytes,
        peak_bytes: memory.peakBytes,
        pinned_bytes: memory.pinnedBytes,
      },
    });
  }

  kept({ path, kind, step }: Kept, line: string): void {
    this.#emit("kept", { path, kind, step, line });
    this.#io.err(`${line}\n`);
  }

  result(fields: Readonly<Record<string, unknown>>): void {
    this.#emit("result", fields);
  }

  [Symbol.dispose](): void {}

  error(error: unknown): void {
    const { message = String(error), fix, where } = (error ?? {}) as Partial<Record<string, string>>;
    const code = isLvsaError(error) ? error.code : "FAILED";
    this.#emit("error", {
      ...{ code, message: withFlags(message) },
      ...(fix ? { fix: withFlags(fix) } : {}),
      ...(where ? { where } : {}),
    });
    this.#io.err(`error: ${describeError(error)}\n`);
  }

  #emit(event: string, fields: Readonly<Record<string, unknown>>): void {
    const write = event === "stage" || event === "step" ? (this.#io.progress ?? this.#io.out) : this.#io.out;
    // JSON escapes some of the characters that a terminal obeys; all of them may be escaped in it.
    write(`${printable(JSON.stringify({ event, ...fields }))}\n`);
  }
}
