/** `LVSA_MASK_LOG`: at which denoising steps the mask is printed. */
import { readInteger } from "./env-values.js";

/** Which steps; `once`: the first step of a generation that is seen. */
export type MaskLogSpec = "never" | "always" | "once" | { readonly steps: (step: number) => boolean };

/**
 * Empty or `0`: never; `1`: every step; `once`; `3-7`: a range with both ends; otherwise a comma list of steps.
 * Undefined where the text is none of these (the Python original then never prints).
 */
export function parseMaskLog(spec: string): MaskLogSpec | undefined {
  if (spec === "" || spec === "0") return "never";
  if (spec === "1") return "always";
  if (spec === "once") return "once";
  if (spec.includes("-")) {
    const [first, last, ...more] = spec.split("-").map(readInteger);
    if (first === undefined || last === undefined || more.length > 0 || first > last) return undefined;
    return { steps: (step) => step >= first && step <= last };
  }
  const items = spec.split(",");
  if (items.length > 1 && items.at(-1)!.trim() === "") items.pop();
  const steps = items.map(readInteger);
  if (!steps.every((step) => step !== undefined && step >= 0)) return undefined;
  return { steps: (step) => steps.includes(step) };
}

/** Decides step by step. Never twice running for the same step. */
export class MaskLog {
  readonly #spec: MaskLogSpec;
  #last: number | undefined;

  constructor(spec: MaskLogSpec) {
    this.#spec = spec;
  }

  /** Whether this call prints; ask once per call, in order. */
  prints(step: number): boolean {
    const wanted =
      this.#spec === "always" ||
      (this.#spec === "once" && this.#last === undefined) ||
      (typeof this.#spec === "object" && this.#spec.steps(step));
    if (!wanted || step === this.#last) return false;
    this.#last = step;
    return true;
  }

  /** A new generation: everything may be printed again. */
  restart(): void {
    this.#last = undefined;
  }
}
