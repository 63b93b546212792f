/**
 * EasyCache (arXiv 2507.02860): whether a step's prediction can be had from the last one that was computed, judged by how
 * far the latents have moved. Behaves as ComfyUI's `nodes_easycache.py`: the pass with the prompt decides for both.
 */
import type { PartState } from "../run-state/stateful.js";
import { BRANCHES, type Branch, type Decision } from "./decisions.js";

export interface EasySettings {
  readonly threshold: number;
  /** Noise levels between which steps are judged: not before the first, and no more at the last or below. */
  readonly startSigma: number;
  readonly endSigma: number;
  /** Every so-manieth row and column of the latents is looked at. */
  readonly subsample: number;
}

export class EasyCache {
  readonly #settings: EasySettings;
  #input: Float32Array | undefined;
  #output: Float32Array | undefined;
  /** Mean magnitude of the whole last prediction. */
  #magnitude = 0;
  /** Change of the prediction for each change of the latents, where it is known. */
  #rate: number | undefined;
  #sum = 0;
  #skipsStep = false;
  readonly #changes = new Map<Branch, Float32Array>();

  constructor(settings: EasySettings) {
    this.#settings = settings;
  }

  beginStep(): void {
    this.#skipsStep = false;
  }

  /** Whether a pass of a step at that noise level is skipped, and what was compared. */
  decide(branch: Branch, latents: Float32Array, width: number, height: number, sigma: number): Decision {
    if (!this.#isJudged(sigma)) return { reuse: false, value: null };
    const canReuse = this.#changes.has(branch);
    if (branch !== "positive") return { reuse: this.#skipsStep && canReuse, value: null };
    if (!this.#input || this.#rate === undefined || !canReuse) return { reuse: false, value: null };
    const moved = meanChange(this.#subsample(latents, width, height), this.#input);
    this.#sum += (this.#rate * moved) / this.#magnitude;
    const value = this.#sum;
    this.#skipsStep = value < this.#settings.threshold;
    if (!this.#skipsStep) this.#sum = 0;
    return { reuse: this.#skipsStep, value };
  }

  /** The prediction of a pass that is skipped. */
  reused(branch: Branch, latents: Float32Array): Float32Array {
    const change = this.#changes.get(branch)!;
    return latents.map((value, i) => value + change[i]!);
  }

  /** Hears of a pass that was computed. */
  computed(
    branch: Branch,
    latents: Float32Array,
    prediction: Float32Array,
    width: number,
    height: number,
    sigma: number,
  ): void {
    if (!this.#isJudged(sigma)) return;
    this.#changes.set(
      branch,
      prediction.map((value, i) => value - latents[i]!),
    );
    if (branch !== "positive") return;
    const input = this.#subsample(latents, width, height);
    const output = this.#subsample(prediction, width, height);
    if (this.#input && this.#output) {
      this.#rate = meanChange(output, this.#output) / meanChange(input, this.#input);
    }
    this.#input = input;
    this.#output = output;
    this.#magnitude = prediction.reduce((sum, value) => sum + Math.abs(value), 0) / prediction.length;
  }

  state(): PartState {
    const of = (data: Float32Array | undefined, name: string) =>
      data ? { [name]: { data, shape: [data.length] } } : {};
    return {
      values: { rate: this.#rate ?? null, sum: this.#sum, magnitude: this.#magnitude },
      tensors: {
        ...of(this.#input, "input"),
        ...of(this.#output, "output"),
        ...of(this.#changes.get("positive"), "positive"),
        ...of(this.#changes.get("negative"), "negative"),
      },
    };
  }

  restore({ values, tensors }: PartState): void {
    this.#rate = values.rate === null ? undefined : Number(values.rate);
    this.#sum = Number(values.sum);
    this.#magnitude = Number(values.magnitude);
    this.#input = tensors.input?.data;
    this.#output = tensors.output?.data;
    this.#changes.clear();
    for (const branch of BRANCHES) {
      const data = tensors[branch]?.data;
      if (data) this.#changes.set(branch, data);
    }
  }

  #isJudged(sigma: number): boolean {
    return sigma <= this.#settings.startSigma && sigma > this.#settings.endSigma;
  }

  #subsample(data: Float32Array, width: number, height: number): Float32Array {
    const { subsample } = this.#settings;
    if (subsample === 1) return data;
    const out: number[] = [];
    for (let plane = 0; plane < data.length; plane += width * height) {
      for (let y = 0; y < height; y += subsample) {
        for (let x = 0; x < width; x += subsample) out.push(data[plane + y * width + x]!);
      }
    }
    return Float32Array.from(out);
  }
}

function meanChange(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;
}
