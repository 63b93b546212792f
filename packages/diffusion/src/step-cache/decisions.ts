/** When a step's blocks run and when what they changed in an earlier step is used again. No part of it needs a GPU. */
import type { PartState } from "../run-state/stateful.js";

/** One pass of a step: with the prompt, or with the negative one. */
export type Branch = "positive" | "negative";
export const BRANCHES: readonly Branch[] = ["positive", "negative"];

export interface Decision {
  readonly reuse: boolean;
  /** What was compared with the threshold; null where the step runs whatever it would be. */
  readonly value: number | null;
}

/** The decisions of one branch. Steps come in order; those that another cache took over are not asked for. */
export interface Decider {
  /**
   * @param step real index of the step
   * @param canReuse whether there is anything to use again; without it the step runs
   */
  next(step: number, canReuse: boolean): Decision;
  /** Numbers that the next decision depends on. */
  state(): PartState["values"];
  restore(values: PartState["values"]): void;
}

const RUN: Decision = { reuse: false, value: null };

export interface MagSettings {
  /** One for each step. */
  readonly ratios: readonly number[];
  /** Steps that run whatever the error, and leave it alone. */
  readonly isForced: (step: number) => boolean;
  readonly threshold: number;
  /** Whether an error of exactly the threshold is small enough: it is for diffusers, and not for MagCache's authors. */
  readonly isInclusive: boolean;
  /** At most so many in a row. */
  readonly maxSkipSteps: number;
}

/**
 * MagCache (arXiv 2506.09045): the error of using an old change is how far the product of the ratios since then is from 1,
 * summed over the steps since then.
 */
export class MagDecider implements Decider {
  readonly #settings: MagSettings;
  #ratio = 1;
  #error = 0;
  #count = 0;

  constructor(settings: MagSettings) {
    this.#settings = settings;
  }

  next(step: number, canReuse: boolean): Decision {
    const { ratios, isForced, threshold, isInclusive, maxSkipSteps } = this.#settings;
    if (isForced(step)) return RUN;
    this.#ratio *= ratios[step]!;
    this.#count += 1;
    this.#error += Math.abs(1 - this.#ratio);
    const value = this.#error;
    const isSmall = isInclusive ? value <= threshold : value < threshold;
    const reuse = canReuse && isSmall && this.#count <= maxSkipSteps;
    if (!reuse) {
      this.#ratio = 1;
      this.#error = 0;
      this.#count = 0;
    }
    return { reuse, value };
  }

  state(): PartState["values"] {
    return { ratio: this.#ratio, error: this.#error, count: this.#count };
  }

  restore({ ratio, error, count }: PartState["values"]): void {
    this.#ratio = Number(ratio);
    this.#error = Number(error);
    this.#count = Number(count);
  }
}

/** The steps that MagCache runs whatever the error: `share` of all, counted in passes, two for each step. */
export function magForced(branch: Branch, steps: number, share: number): (step: number) => boolean {
  const calls = Math.trunc(2 * steps * share);
  return (step) => callIndex(branch, step) < calls;
}

/** The same with two transformers, where the second one begins at step `second`: MagCache4Wan2.2. */
export function magForcedOfTwo(
  branch: Branch,
  steps: number,
  second: number,
  share: number,
  isImageToVideo: boolean,
): (step: number) => boolean {
  const [all, split] = [2 * steps, 2 * second];
  if (isImageToVideo) {
    const calls = Math.trunc(split + (all - split) * share);
    return (step) => callIndex(branch, step) < calls;
  }
  const first = Math.trunc(split * share);
  const last = (all - split) * share + split;
  return (step) => {
    const call = callIndex(branch, step);
    return call < first || (call >= split && call <= last);
  };
}

function callIndex(branch: Branch, step: number): number {
  return 2 * step + (branch === "positive" ? 0 : 1);
}

export interface TeaSettings {
  /** Of a polynomial, highest power first. */
  readonly coefficients: readonly number[];
  readonly threshold: number;
  readonly steps: number;
  /** Steps at the start and at the end that run whatever the change. */
  readonly firstSteps: number;
  readonly lastSteps: number;
}

/** TeaCache (arXiv 2411.19108): a polynomial of how far the time embedding has moved, summed since blocks last ran. */
export class TeaDecider implements Decider {
  readonly #settings: TeaSettings;
  #sum = 0;
  #change = 0;

  constructor(settings: TeaSettings) {
    this.#settings = settings;
  }

  /** Relative change of the embedding since the step before, before `next`. */
  hear(change: number): void {
    this.#change = change;
  }

  next(step: number, canReuse: boolean): Decision {
    const { coefficients, threshold, steps, firstSteps, lastSteps } = this.#settings;
    if (step < firstSteps || step >= steps - lastSteps) {
      this.#sum = 0;
      return RUN;
    }
    this.#sum += coefficients.reduce((value, coefficient) => value * this.#change + coefficient, 0);
    const value = this.#sum;
    const reuse = canReuse && value < threshold;
    if (!reuse) this.#sum = 0;
    return { reuse, value };
  }

  state(): PartState["values"] {
    return { sum: this.#sum };
  }

  restore({ sum }: PartState["values"]): void {
    this.#sum = Number(sum);
  }
}

/** First-block cache (diffusers `FirstBlockCacheConfig`): how far the change by the first block has moved. */
export class FirstBlockDecider implements Decider {
  readonly #threshold: number;
  #change: number | undefined;

  constructor(threshold: number) {
    this.#threshold = threshold;
  }

  /** Relative change since blocks last ran, before `next`; undefined where they never did. */
  hear(change: number | undefined): void {
    this.#change = change;
  }

  next(_step: number, canReuse: boolean): Decision {
    if (this.#change === undefined) return RUN;
    return { reuse: canReuse && this.#change <= this.#threshold, value: this.#change };
  }

  state(): PartState["values"] {
    return {};
  }

  restore(): void {}
}

/** Mean of magnitudes of `a − b`, divided by that of `b`. */
export function relativeChange(a: Float32Array, b: Float32Array): number {
  let difference = 0;
  let magnitude = 0;
  for (let i = 0; i < a.length; i++) {
    difference += Math.abs(a[i]! - b[i]!);
    magnitude += Math.abs(b[i]!);
  }
  return difference / magnitude;
}
