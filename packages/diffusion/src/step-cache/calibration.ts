/** Measuring MagCache's ratios: how much longer or shorter the change by all blocks is than that of the step before. */
import { ConfigError } from "@lvsa/runtime";
import { badRunState, type PartState } from "../run-state/stateful.js";
import type { Branch, Decider, Decision } from "./decisions.js";
import type { MagRatios } from "./mag-ratios.js";

/** Never skips anything, and hears what the blocks changed. */
export class CalibrationDecider implements Decider {
  /** One for each step so far, also of another transformer; each one's first is 1. */
  readonly ratios: number[];
  #lengths: Float64Array | undefined;

  constructor(ratios: number[] = []) {
    this.ratios = ratios;
  }

  next(): Decision {
    return { reuse: false, value: null };
  }

  /** Rows `[tokens, width]` that the blocks added; the mean over tokens of how their lengths changed. */
  hearChange(change: Float32Array, width: number): void {
    const lengths = Float64Array.from({ length: change.length / width }, (_, row) => {
      let sum = 0;
      for (let i = row * width; i < (row + 1) * width; i++) sum += change[i]! ** 2;
      return Math.sqrt(sum);
    });
    const before = this.#lengths;
    const sum = before
      ? lengths.reduce((total, length, i) => total + length / before[i]!, 0)
      : lengths.length;
    this.ratios.push(sum / lengths.length);
    this.#lengths = lengths;
  }

  state(): PartState["values"] {
    return {};
  }

  restore(): void {
    throw badRunState("measuring ratios takes a whole run");
  }
}

/**
 * Of the passes that there were, rounded to five places, as published tables are.
 *
 * @throws ConfigError `NO_RATIO` where the blocks changed nothing of a token in one step, and something in the next
 */
export function calibratedRatios(measured: Readonly<Record<Branch, readonly number[]>>): MagRatios {
  const rounded = (ratios: readonly number[]) => ratios.map((ratio) => Math.round(ratio * 1e5) / 1e5);
  for (const ratios of [measured.positive, measured.negative]) {
    const step = ratios.findIndex((ratio) => !Number.isFinite(ratio));
    if (step < 0) continue;
    throw new ConfigError(
      "NO_RATIO",
      `the change of step ${step + 1} has no ratio to that of step ${step}, in which the blocks left a token as it was`,
      { fault: "run", fix: "Measure with another seed or prompt." },
    );
  }
  const [positive, negative] = [rounded(measured.positive), rounded(measured.negative)];
  return { positive, ...(negative.length > 0 ? { negative } : {}) };
}
