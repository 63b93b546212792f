/** Seeded normal noise, equal to PyTorch's on the CPU. */
import { ConfigError } from "@lvsa/runtime";
import { badRunState, type PartState, type Stateful } from "../run-state/stateful.js";
import { roundToBfloat16, roundToFloat16 } from "./float-rounding.js";
import { Mt19937 } from "./mt19937.js";
import { boxMullerFloat32, boxMullerRounded } from "./normal-fill.js";
import { assertSeed, lowWord, type Seed } from "./seed.js";

/** Type in which `torch.randn` draws. Narrow types give other numbers, not rounded float32 ones. */
export type NoiseDType = "float32" | "float16" | "bfloat16";

const BLOCK = 16;

/**
 * `torch.Generator("cpu").manual_seed(seed)`, for `torch.randn`. float32 values are equal to the last bit to
 * those of PyTorch's x86 build (seen with 2.6). Draws of fewer than 16 numbers take another path in PyTorch
 * (float64 Box-Muller with one number kept for the next such draw), which is followed too.
 */
export class TorchCpuGenerator implements Stateful {
  #engine: Mt19937;
  #keptNormal: number | undefined;

  /** `seed`: any 64-bit integer. PyTorch uses its low 32 bits. @throws UsageError `SEED_INVALID` */
  constructor(seed: Seed) {
    assertSeed(seed);
    this.#engine = new Mt19937(lowWord(seed));
  }

  /** Starts again from `seed`. */
  manualSeed(seed: Seed): this {
    assertSeed(seed);
    this.#engine = new Mt19937(lowWord(seed));
    this.#keptNormal = undefined;
    return this;
  }

  /** Standard normal numbers, row-major, in an array of their own. Advances the generator as `torch.randn` does. */
  randn(shape: readonly number[], dtype: NoiseDType = "float32"): Float32Array<ArrayBuffer> {
    for (const size of shape) {
      if (!Number.isSafeInteger(size) || size < 0)
        throw new ConfigError("NOISE_SHAPE_INVALID", `noise shape [${shape.join(", ")}] has size ${size}`, {
          fix: "Pass sizes that are integers of 0 or more.",
        });
    }
    const out = new Float32Array(shape.reduce((product, size) => product * size, 1));
    const round = { float32: Math.fround, float16: roundToFloat16, bfloat16: roundToBfloat16 }[dtype];
    if (out.length < BLOCK) {
      for (let i = 0; i < out.length; i++) out[i] = round(this.#nextNormal());
      return out;
    }
    const bits = { float32: 24, float16: 11, bfloat16: 8 }[dtype];
    const fill =
      dtype === "float32"
        ? boxMullerFloat32
        : (data: Float32Array, offset: number) => boxMullerRounded(data, offset, round);
    this.#fillUniform(out, 0, bits);
    for (let i = 0; i + BLOCK <= out.length; i += BLOCK) fill(out, i);
    if (out.length % BLOCK !== 0) {
      // The last 16 numbers are drawn again, over the tail of the last whole block.
      const tail = out.length - BLOCK;
      this.#fillUniform(out, tail, bits);
      fill(out, tail);
    }
    return out;
  }

  state(): PartState {
    return { values: { words: this.#engine.state(), kept_normal: this.#keptNormal ?? null }, tensors: {} };
  }

  restore({ values }: PartState): void {
    const { words, kept_normal: kept } = values;
    const isKept = kept === null || typeof kept === "number";
    if (!isKept || !Array.isArray(words) || !this.#engine.restore(words)) {
      throw badRunState("it is not that of a Mersenne Twister");
    }
    this.#keptNormal = kept ?? undefined;
  }

  #fillUniform(out: Float32Array, from: number, bits: number): void {
    const range = 2 ** bits;
    for (let i = from; i < out.length; i++) out[i] = (this.#engine.nextUint32() & (range - 1)) / range;
  }

  /** Uniform in [0, 1) with 53 bits: high word first. */
  #nextDouble(): number {
    const high = this.#engine.nextUint32() & 0x1fffff;
    return (high * 2 ** 32 + this.#engine.nextUint32()) / 2 ** 53;
  }

  #nextNormal(): number {
    if (this.#keptNormal !== undefined) {
      const kept = this.#keptNormal;
      this.#keptNormal = undefined;
      return kept;
    }
    const theta = 2 * Math.PI * this.#nextDouble();
    const radius = Math.sqrt(-2 * Math.log1p(-this.#nextDouble()));
    this.#keptNormal = radius * Math.sin(theta);
    return radius * Math.cos(theta);
  }
}
