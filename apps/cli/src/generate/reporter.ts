/** What a run says, in three voices: text for people, JSON lines for programs, nothing. */
import type { StageReport, StepReport } from "@lvsa/diffusion";
import { isLvsaError, printable } from "@lvsa/runtime";
import { describeError } from "../exit-codes.js";
import type { CommandIo } from "../io.js";
import { withFlags } from "../options/generation-flags.js";
import { formatBytes } from "../output/units.js";
import { formatDuration, ProgressMeter, secondsPerStep } from "./progress-meter.js";

export interface RunReporter {
  /** A line of the run's log, e.g. `[LVSA] …`. */
  log(line: string): void;
  /** What the user asked for: masks, tables. The text ends with a newline; programs get `fields`, if given. */
  print(text: string, kind: string, fields?: Readonly<Record<string, unknown>>): void;
  /** A remark beside the run. */
  notice(line: string): void;
  stage(report: StageReport): void;
  step(report: StepReport): void;
  /** The last word of a run that succeeded. */
  result(fields: Readonly<Record<string, unknown>>, line: string): void;
  error(error: unknown): void;
}

export function createReporter(
  io: CommandIo,
  voice: { readonly json: boolean; readonly quiet: boolean },
): RunReporter {
  if (voice.json) return new JsonReporter(io);
  return voice.quiet ? new QuietReporter(io) : new TextReporter(io);
}

/** Errors, and what was asked for by name. */
class QuietReporter implements RunReporter {
  protected readonly io: CommandIo;

  constructor(io: CommandIo) {
    this.io = io;
  }

  log(_line: string): void {}
  notice(_line: string): void {}
  stage(_report: StageReport): void {}
  step(_report: StepReport): void {}
  result(_fields: Readonly<Record<string, unknown>>, _line: string): void {}

  print(text: string, _kind: string): void {
    this.io.out(text);
  }

  error(error: unknown): void {
    this.io.err(`error: ${describeError(error)}\n`);
  }
}

class TextReporter extends QuietReporter {
  readonly #meter: ProgressMeter;
  readonly #seconds: number[] = [];
  #shown = "";

  constructor(io: CommandIo) {
    super(io);
    this.#meter = new ProgressMeter({ write: io.redraw, isTerminal: io.isTerminal });
  }

  override log(line: string): void {
    this.print(`${line}\n`);
  }

  override print(text: string): void {
    this.#meter.clear();
    this.io.out(text);
  }

  override notice(line: string): void {
    this.#meter.clear();
    this.io.err(`${line}\n`);
  }

  override stage({ stage, component, done, total }: StageReport): void {
    if (stage === "denoise") {
      this.#denoising(done, total);
      return;
    }
    const share = total > 0 ? Math.floor((100 * done) / total) : 100;
    const names = {
      load: `loading ${component ?? "weights"}`,
      "encode-prompt": "encoding the prompt",
      "encode-image": "encoding the image",
      decode: "decoding",
    };
    const name = names[stage];
    const isNew = name !== this.#shown;
    this.#shown = name;
    this.#meter.show(`${name}  ${share} %`, isNew || (stage === "decode" && done === total));
  }

  /** Inside of a step, which may take minutes: whole steps done, and the part of the next. */
  #denoising(done: number, total: number): void {
    const isNew = this.#shown !== "step";
    this.#shown = "step";
    const step = Math.min(total, Math.floor(done) + 1);
    const part = Math.floor(100 * (done - Math.floor(done)));
    this.#meter.show(`${bar(done / total)} step ${step}/${total}  ${part} %`, isNew);
  }

  override step({ index, count, seconds, memory }: StepReport): void {
    this.#seconds.push(seconds);
    this.#shown = "step";
    const each = secondsPerStep(this.#seconds);
    const rest = formatDuration(each * (count - index - 1));
    const bytes = `${formatBytes(memory.liveBytes)} (peak ${formatBytes(memory.peakBytes)})`;
    this.#meter.show(
      `${bar((index + 1) / count)} step ${index + 1}/${count}  ${each.toFixed(2)} s/step  ETA ${rest}  ${bytes}`,
      index === 0 || index === count - 1,
    );
  }

  override result(_fields: Readonly<Record<string, unknown>>, line: string): void {
    this.print(`${line}\n`);
  }

  override error(error: unknown): void {
    this.#meter.clear();
    super.error(error);
  }
}

function bar(part: number): string {
  const filled = Math.round(20 * part);
  return `[${"#".repeat(filled)}${".".repeat(20 - filled)}]`;
}

const STAGE_MS = 1000;

class JsonReporter implements RunReporter {
  readonly #io: CommandIo;
  readonly #seconds: number[] = [];
  #stage = "";
  #stageAt = 0;

  constructor(io: CommandIo) {
    this.#io = io;
  }

  log(line: string): void {
    this.#emit("log", { line });
  }

  print(text: string, kind: string, fields?: Readonly<Record<string, unknown>>): void {
    this.#emit(kind, fields ?? { text });
  }

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

  result(fields: Readonly<Record<string, unknown>>): void {
    this.#emit("result", fields);
  }

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
    // JSON escapes some of the characters that a terminal obeys; all of them may be escaped in it.
    this.#io.out(`${printable(JSON.stringify({ event, ...fields }))}\n`);
  }
}
