/** Noise that a diffusion process adds from step to step of training, in float32 as diffusers holds it. */
import { torchLinspace } from "./noise-levels.js";

export interface BetaSchedule {
  readonly num_train_timesteps: number;
  readonly beta_start: number;
  readonly beta_end: number;
  readonly beta_schedule: "linear" | "scaled_linear" | "squaredcos_cap_v2";
  readonly trained_betas?: readonly number[] | null | undefined;
  readonly rescale_betas_zero_snr: boolean;
}

const { fround } = Math;

/** Signal power left at each training timestep, falling. */
export function alphasCumprod(config: BetaSchedule): number[] {
  const betas = betasOf(config);
  const alphas = cumulated(betas);
  if (!config.rescale_betas_zero_snr) return alphas;
  const rescaled = cumulated(rescaleToZeroSnr(alphas));
  // Not 0, where the first level would be infinite.
  rescaled[rescaled.length - 1] = 2 ** -24;
  return rescaled;
}

/** Noise over signal at each training timestep, rising. */
export function noiseRatios(alphas: readonly number[]): number[] {
  return alphas.map((alpha) => fround(Math.sqrt(fround(fround(1 - alpha) / alpha))));
}

function betasOf(config: BetaSchedule): number[] {
  const { num_train_timesteps: total, beta_start: start, beta_end: end, trained_betas: trained } = config;
  if (trained) return trained.map(fround);
  switch (config.beta_schedule) {
    case "linear":
      return torchLinspace(fround(start), fround(end), total, fround);
    case "scaled_linear":
      return torchLinspace(fround(Math.sqrt(start)), fround(Math.sqrt(end)), total, fround).map((root) =>
        fround(root * root),
      );
    case "squaredcos_cap_v2": {
      const left = (t: number) => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2;
      return Array.from({ length: total }, (_, i) =>
        fround(Math.min(1 - left((i + 1) / total) / left(i / total), 0.999)),
      );
    }
  }
}

/** The product is carried in float64 and every entry rounded, as torch does on the CPU. */
function cumulated(betas: readonly number[]): number[] {
  let product = 1;
  return betas.map((beta) => {
    product *= fround(1 - beta);
    return fround(product);
  });
}

/** Lin et al. 2023 (arXiv 2305.08891), algorithm 1: betas whose last step has no signal. */
function rescaleToZeroSnr(alphas: readonly number[]): number[] {
  const roots = alphas.map((alpha) => fround(Math.sqrt(alpha)));
  const [first, last] = [roots[0]!, roots.at(-1)!];
  const factor = fround(first / fround(first - last));
  const bars = roots.map((root) => fround(fround(fround(root - last) * factor) ** 2));
  return bars.map((bar, i) => fround(1 - (i === 0 ? bar : fround(bar / bars[i - 1]!))));
}
