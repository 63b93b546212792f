/** An autoencoder's convolution weights, packed as the device multiplies them; the stored form is freed. */
import {
  type Conv3dOptions,
  type ConvWeight,
  cast,
  conv3d,
  convOperandDType,
  convWeightDType,
  type FloatDType,
  packConvWeight,
  type Tensor,
} from "@lvsa/runtime";
import type { Parameters } from "../parameters.js";
import type { FeatureCache } from "./feature-cache.js";

/** Input frames before the current one that a causal kernel of 3 frames sees. */
export const CAUSAL_HISTORY = 2;

export class ConvWeights implements Disposable {
  readonly #parameters: Parameters;
  readonly #packed = new Map<string, ConvWeight>();

  constructor(parameters: Parameters) {
    this.#parameters = parameters;
  }

  /**
   * Packs all that have more than one tap, before activations need the memory that both forms take. The others may be
   * products, which read the stored form.
   */
  packStored(): void {
    for (const [stored, { shape }] of this.#parameters.entries()) {
      const name = /^(.*)\.weight$/.exec(stored)?.[1];
      const taps = shape.slice(2).reduce((product, size) => product * size, 1);
      if (name !== undefined && shape.length >= 4 && taps > 1) this.get(name);
    }
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
      const { device } = this.#parameters;
      const weight = this.#parameters.get(stored);
      packed = packConvWeight(device, weight, { dtype: convWeightDType(device, weight) });
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

  /**
   * Convolution `<name>.conv` of 3 frames behind what `cache` remembers as `name`; before the clip's first frame `places`
   * say what stands. f32.
   */
  causalConv(name: string, x: Tensor, places: ConvPlaces, cache: FeatureCache, residual?: Tensor): Tensor {
    const { device } = this.#parameters;
    return device.scope(() => {
      const operand = this.operand(`${name}.conv`, x, places);
      const history = cache.get(name);
      const y = conv3d(device, operand, this.get(`${name}.conv`), {
        ...places,
        bias: this.#parameters.get(`${name}.conv.bias`),
        outDtype: "f32",
        ...(history ? { history } : {}),
        ...(residual ? { residual } : {}),
      });
      cache.push(name, operand, CAUSAL_HISTORY);
      return y;
    });
  }

  [Symbol.dispose](): void {
    for (const weight of this.#packed.values()) weight.dispose();
    this.#packed.clear();
  }
}

export type ConvPlaces = Pick<Conv3dOptions, "stride" | "padding" | "padMode">;
