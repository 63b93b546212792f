/**
 * The denoising step, inferred from attention calls, for hosts that do not say it. Layers come by in the same order
 * in every pass; the first that comes again tells how many there are.
 */

import { checkOptionKinds } from "@lvsa/core";

export interface StepTrackerOptions {
  /** Passes of the model per step: 2 with guidance in two passes, else 1. Default 2. */
  readonly cfgPasses?: number;
  /** Layers per pass; default: counted until the first repeats. */
  readonly nBlocks?: number;
  /** Hears once how many layers were counted. */
  readonly onCalibrated?: (nBlocks: number, cfgPasses: number) => void;
}

export class StepTracker {
  readonly #options: StepTrackerOptions;
  readonly #cfgPasses: number;
  readonly #seen = new Set<unknown>();
  #nBlocks: number | undefined;
  #sequenceLength: number | undefined;
  #calls = 0;
  #step = 0;
  #generation = 0;

  /** @throws UsageError `BAD_OPTION` */
  constructor(options: StepTrackerOptions = {}) {
    const kinds = { cfgPasses: "number", nBlocks: "number", onCalibrated: "function" };
    checkOptionKinds(kinds, options, "StepTracker");
    this.#options = options;
    this.#cfgPasses = options.cfgPasses ?? 2;
    this.#nBlocks = options.nBlocks || undefined;
  }

  /** Step of the last call. */
  get step(): number {
    return this.#step;
  }

  /** Counts restarts, by length or by `restart`. */
  get generation(): number {
    return this.#generation;
  }

  /** Layers per pass, once known. Survives restarts. */
  get nBlocks(): number | undefined {
    return this.#nBlocks;
  }

  /** Attention calls of this generation. */
  get calls(): number {
    return this.#calls;
  }

  /** One attention call. Another length than before is another generation. Returns the step it belongs to. */
  tick(layer: unknown, sequenceLength: number): number {
    if (this.#sequenceLength !== undefined && this.#sequenceLength !== sequenceLength) this.restart();
    this.#sequenceLength = sequenceLength;
    this.#calls += 1;
    if (this.#nBlocks === undefined) {
      if (this.#seen.has(layer)) {
        this.#nBlocks = this.#seen.size;
        this.#options.onCalibrated?.(this.#nBlocks, this.#cfgPasses);
      } else {
        this.#seen.add(layer);
      }
    }
    if (this.#nBlocks !== undefined) {
      const reached = Math.floor((this.#calls - 1) / (this.#nBlocks * this.#cfgPasses));
      this.#step = Math.max(this.#step, reached);
    }
    return this.#step;
  }

  /** The next call begins a new generation. Hosts call it, because one of equal length looks like more steps. */
  restart(): void {
    this.#seen.clear();
    this.#sequenceLength = undefined;
    this.#calls = 0;
    this.#step = 0;
    this.#generation += 1;
  }
}
