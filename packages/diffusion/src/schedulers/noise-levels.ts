/** Arithmetic of noise levels that flow schedulers share, in float64 unless a rounding function is given. */
import { ConfigError } from "@lvsa/runtime";

type Rounding = (x: number) => number;
const exact: Rounding = (x) => x;

/** numpy's `linspace`, to the last bit: `start + i * step`, and `stop` itself at the end. */
export function linspace(start: number, stop: number, count: number): number[] {
  const step = (stop - start) / (count - 1);
  return Array.from({ length: count }, (_, i) =>
    i === count - 1 && count > 1 ? stop : count > 1 ? i * step + start : start,
  );
}

/** torch's `linspace`, which counts the second half from the end. */
export function torchLinspace(start: number, stop: number, count: number, round: Rounding = exact): number[] {
  const step = round(round(stop - start) / (count - 1));
  return Array.from({ length: count }, (_, i) =>
    i < Math.floor(count / 2) ? round(start + round(step * i)) : round(stop - round(step * (count - i - 1))),
  );
}

/** `shift * s / (1 + (shift - 1) * s)`. */
export function shiftSigmas(sigmas: readonly number[], shift: number, round: Rounding = exact): number[] {
  return sigmas.map((s) => round(round(shift * s) / round(1 + round((shift - 1) * s))));
}

/** Resolution-dependent shift: `exponential` uses e^mu where `linear` uses mu. */
export function timeShift(
  sigmas: readonly number[],
  mu: number,
  type: "exponential" | "linear",
  round: Rounding = exact,
): number[] {
  const shift = type === "exponential" ? Math.exp(mu) : mu;
  return sigmas.map((s) => round(shift / round(shift + round(round(1 / s) - 1))));
}

/** Stretches the levels so that the last one is `terminal`. */
export function stretchToTerminal(
  sigmas: readonly number[],
  terminal: number,
  round: Rounding = exact,
): number[] {
  const scale = round(round(1 - sigmas[sigmas.length - 1]!) / (1 - terminal));
  return sigmas.map((s) => round(1 - round(round(1 - s) / scale)));
}

/** Karras et al. 2022, equation 5 with rho = 7, from `max` down to `min`. */
export function karrasSigmas(min: number, max: number, count: number): number[] {
  const rho = 7;
  const low = min ** (1 / rho);
  const high = max ** (1 / rho);
  return linspace(0, 1, count).map((ramp) => (high + ramp * (low - high)) ** rho);
}

/** Evenly spaced in the logarithm, from `max` down to `min`. */
export function exponentialSigmas(min: number, max: number, count: number): number[] {
  return linspace(Math.log(max), Math.log(min), count).map(Math.exp);
}

/** Throws unless there is one finite, positive level per step. */
export function assertSigmas(sigmas: readonly number[], steps: number): void {
  const bad = sigmas.find((s) => !Number.isFinite(s) || s < 0);
  if (sigmas.length !== steps || bad !== undefined)
    throw new ConfigError(
      "SIGMAS_INVALID",
      bad === undefined ? `${sigmas.length} sigmas for ${steps} steps` : `sigma ${bad} is not a noise level`,
      { fix: "Pass one sigma of 0 or more per inference step, without the final 0." },
    );
}
