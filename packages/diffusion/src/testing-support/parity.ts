/** Collects errors per tensor group, prints the worst of each, and fails with every tensor that is out of bounds. */
import { floatTensor, type GoldenTensors, maxAbsolute, relativeL2 } from "@lvsa/runtime/testing";

export interface Tolerance {
  readonly rel_l2?: number;
  readonly max_abs?: number;
}

export class ParityReport {
  readonly #name: string;
  readonly #tensors: GoldenTensors;
  readonly #worst = new Map<string, { relative: number; absolute: number; count: number }>();
  readonly #failures: string[] = [];

  constructor(name: string, tensors: GoldenTensors) {
    this.#name = name;
    this.#tensors = tensors;
  }

  has(tensor: string): boolean {
    return this.#tensors[tensor] !== undefined;
  }

  /** Compares with the golden tensor of that name. */
  check(tensor: string, actual: ArrayLike<number>, tolerance: Tolerance, group = tensor): void {
    this.compare(tensor, actual, floatTensor(this.#tensors, tensor).data, tolerance, group);
  }

  compare(
    name: string,
    actual: ArrayLike<number>,
    expected: ArrayLike<number>,
    tolerance: Tolerance,
    group = name,
  ): void {
    const relative = relativeL2(actual, expected);
    const absolute = maxAbsolute(actual, expected);
    const worst = this.#worst.get(group) ?? { relative: 0, absolute: 0, count: 0 };
    worst.relative = Math.max(worst.relative, relative);
    worst.absolute = Math.max(worst.absolute, absolute);
    worst.count += 1;
    this.#worst.set(group, worst);
    if (relative > (tolerance.rel_l2 ?? Number.POSITIVE_INFINITY)) {
      this.#failures.push(`${name}: relative L2 ${relative.toExponential(2)} > ${tolerance.rel_l2}`);
    }
    if (absolute > (tolerance.max_abs ?? Number.POSITIVE_INFINITY)) {
      this.#failures.push(`${name}: max abs ${absolute.toExponential(2)} > ${tolerance.max_abs}`);
    }
  }

  /** Prints, then throws when anything was out of bounds or nothing was compared. */
  finish(): void {
    for (const [group, { relative, absolute, count }] of this.#worst) {
      console.log(
        `${this.#name}  ${group} (${count}): rel L2 ${relative.toExponential(1)}, max abs ${absolute.toExponential(1)}`,
      );
    }
    if (this.#worst.size === 0) throw new Error(`${this.#name}: nothing was compared`);
    if (this.#failures.length > 0) throw new Error(`${this.#name}:\n${this.#failures.join("\n")}`);
  }
}

/** Tolerances of Wan's `case.json`. */
export interface WanTolerances {
  readonly float32_compute: {
    readonly single_pass: Tolerance;
    readonly loop_latents: Tolerance;
    readonly frames_uint8: Tolerance;
  };
}
