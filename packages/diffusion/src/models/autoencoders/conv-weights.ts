/** An autoencoder's convolution weights: packed at their first use, when the stored form is freed. */
import { type ConvWeight, packConvWeight } from "@lvsa/runtime";
import type { Parameters } from "../parameters.js";

export class ConvWeights implements Disposable {
  readonly #parameters: Parameters;
  readonly #packed = new Map<string, ConvWeight>();

  constructor(parameters: Parameters) {
    this.#parameters = parameters;
  }

  /** Whether there is a convolution `name`. */
  has(name: string): boolean {
    const stored = `${name}.weight`;
    return this.#packed.has(stored) || this.#parameters.optional(stored) !== undefined;
  }

  get(name: string): ConvWeight {
    const stored = `${name}.weight`;
    let packed = this.#packed.get(stored);
    if (!packed) {
      packed = packConvWeight(this.#parameters.device, this.#parameters.get(stored));
      this.#packed.set(stored, packed);
      this.#parameters.remove(stored);
    }
    return packed;
  }

  [Symbol.dispose](): void {
    for (const weight of this.#packed.values()) weight.dispose();
    this.#packed.clear();
  }
}
