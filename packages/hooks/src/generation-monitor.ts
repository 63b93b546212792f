/** Watches the calls of a hook and tells, per generation: engaged, masks, step times, memory, fallbacks. */
import type { MemoryReport } from "@lvsa/core";
import {
  type FallbackEvent,
  FallbackReporter,
  type ScheduledDenseEvent,
  type SparseCallEvent,
} from "@lvsa/core";
import type { HookSettings } from "./env-schema.js";
import type { HookLog } from "./hook-events.js";
import { MaskLog, parseMaskLog } from "./mask-log.js";

export interface GenerationMonitorOptions {
  readonly family: string;
  /** Name in fallback lines, e.g. `wan_hook`. */
  readonly origin: string;
  readonly settings: HookSettings;
  readonly log: HookLog;
  /** How fallback lines put what was seen; default: as it comes. */
  readonly details?: (event: FallbackEvent) => FallbackEvent["details"];
  readonly memory?: () => MemoryReport;
  /** Milliseconds; default `performance.now`. */
  readonly now?: () => number;
}

export class GenerationMonitor {
  readonly #options: GenerationMonitorOptions;
  readonly #masks: MaskLog;
  readonly #fallbacks: FallbackReporter;
  readonly #now: () => number;
  #generation: { readonly id: number | undefined; readonly sequenceLength: number } | undefined;
  #engaged = false;
  #step = 0;
  #stepBegan = 0;

  constructor(options: GenerationMonitorOptions) {
    const { settings, log } = options;
    this.#options = options;
    this.#masks = new MaskLog(parseMaskLog(settings.maskLog ?? "") ?? "never");
    this.#now = options.now ?? (() => performance.now());
    let said: FallbackEvent | undefined;
    this.#fallbacks = new FallbackReporter({
      strict: settings.strict ?? false,
      // Every fallback is an event; the reporter decides which of them is a line.
      onFallback: (event) => {
        said = event;
        log.tell({ type: "fallback", ...event });
      },
      log: () => log.write({ type: "fallback", ...said! }),
    });
  }

  /** A call was recorded with a pattern. */
  onCall(event: SparseCallEvent): void {
    const { family, log } = this.#options;
    const { pattern, sequenceLength, referenceLatentFrames, generation, step } = event;
    this.#enter(generation, sequenceLength, step);
    if (!this.#engaged) {
      this.#engaged = true;
      log.emit({ type: "engaged", family, pattern, sequenceLength, referenceLatentFrames, generation });
    }
    if (this.#masks.prints(step)) log.emit({ type: "mask", step, pattern });
  }

  /** A call ran dense because the schedule says so. */
  onScheduledDense({ generation, sequenceLength, step }: ScheduledDenseEvent): void {
    this.#enter(generation, sequenceLength, step);
  }

  /** A call must run dense. @throws HookError `DENSE_FALLBACK` when strict */
  onFallback(event: FallbackEvent): void {
    this.#enter(event.generation, event.sequenceLength, event.step ?? 0);
    const { origin, details } = this.#options;
    this.#fallbacks.report({ ...event, origin, details: details?.(event) ?? event.details });
  }

  /** New generation or new step: what was remembered of the old one ends here. */
  #enter(id: number | undefined, sequenceLength: number, step: number): void {
    const current = this.#generation;
    // Where the host names generations, their calls may differ in length; where nobody does, length is all there is.
    const isNew = current?.id !== id || (id === undefined && current?.sequenceLength !== sequenceLength);
    if (!current || isNew) {
      this.#generation = { id, sequenceLength };
      this.#engaged = false;
      this.#masks.restart();
      this.#step = step;
      this.#stepBegan = this.#now();
      return;
    }
    if (step === this.#step) return;
    const { settings, log, memory } = this.#options;
    const now = this.#now();
    if (settings.memLog && memory) log.emit({ type: "memory", step, memory: memory() });
    if (settings.stepTimeLog) {
      log.emit({ type: "step-time", step: this.#step, seconds: (now - this.#stepBegan) / 1000 });
    }
    this.#step = step;
    this.#stepBegan = now;
  }
}
