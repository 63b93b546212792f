/** An autoencoder's convolution weights: packed at their first use, when the stored form is freed. */
import {
  type Conv3dOptions,
  type ConvWeight,
  cast,
  convOperandDType,
  type FloatDType,
  packConvWeight,
  type Tensor,
} from "@lvsa/runtime";
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
      packed = packConvWeight(this.#parameters.device, this.#parameters.get(stored), { roundOnce: true });
      this.#packed.set(stored, packed);
      this.#parameters.remove(stored);
    }
    return packed;
  }

  /** How convolution `name` reads an f32 input of this shape: what makes the input stores it so. */
  operandDType(name: string, shape: readonly number[], options: ConvPlaces): FloatDType {
    return convOperandDType(this.#parameters.device, shape, "f32", this.get(name), options);
  }

  /**
   * `x` as convolution `name` reads it: `x` itself or a new tensor. `shape` is that of the input where `x` becomes it, as by
   * resizing: rounding goes first, while it is small.
   */
  operand(name: string, x: Tensor, options: ConvPlaces, shape: readonly number[] = x.shape): Tensor {
    const dtype = this.operandDType(name, shape, options);
    return dtype === "f16" && x.dtype !== "f16" ? cast(this.#parameters.device, x, "f16") : x;
  }

  [Symbol.dispose](): void {
    for (const weight of this.#packed.values()) weight.dispose();
    this.#packed.clear();
  }
}

export type ConvPlaces = Pick<Conv3dOptions, "stride" | "padding" | "padMode">;
