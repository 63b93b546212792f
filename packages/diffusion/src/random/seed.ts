/** Seeds of PyTorch: 64-bit integers, which a JavaScript number holds exactly only below 2^53. */
import { UsageError } from "@lvsa/runtime";

/** From -2^63 to 2^64 - 1, as `torch.Generator.manual_seed` takes them; above 2^53 a bigint. */
export type Seed = number | bigint;

const LOWEST = -(2n ** 63n);
const HIGHEST = 2n ** 64n - 1n;

/** What is wrong with a seed, in words that say how to write it; undefined where nothing is. */
export function seedProblem(value: unknown): string | undefined {
  if (typeof value !== "bigint" && !Number.isInteger(value)) return "expected a whole number";
  const seed = BigInt(value as Seed);
  if (seed < LOWEST || seed > HIGHEST) return "expected a seed from -2^63 to 2^64 - 1";
  if (typeof value === "number" && !Number.isSafeInteger(value))
    return "expected a bigint (5n, or BigInt of the digits as text): a number is not exact from 2^53 on";
  return undefined;
}

/** @throws UsageError `SEED_INVALID` */
export function assertSeed(value: unknown): asserts value is Seed {
  const problem = seedProblem(value);
  if (problem === undefined) return;
  throw new UsageError("SEED_INVALID", `seed: ${problem}, got ${String(value)}`, {
    fix: "Pass an integer below 2^53, or a bigint from -2^63 to 2^64 - 1.",
  });
}

/** A seed from its decimal digits, exact; undefined for a text that is no integer. */
export function parseSeed(text: string): Seed | undefined {
  if (!/^[+-]?\d{1,30}$/.test(text)) return undefined;
  return plainSeed(BigInt(text.replace(/^\+/, "")));
}

/** A number where that is exact, a bigint elsewhere: seeds that are equal look equal. */
export function plainSeed(seed: Seed): Seed {
  const number = Number(seed);
  return Number.isSafeInteger(number) ? number : seed;
}

/** For JSON, whose numbers most readers take as float64: digits as text where a number would not be exact. */
export function seedForJson(seed: Seed): number | string {
  const plain = plainSeed(seed);
  return typeof plain === "number" ? plain : plain.toString();
}

/** PyTorch seeds its Mersenne Twister with the low word; negative seeds are two's complement. */
export function lowWord(seed: Seed): number {
  return Number(BigInt.asUintN(32, BigInt(seed)));
}

/** One of 2^32 seeds: other ones give the same numbers as one of these. */
export function randomSeed(): number {
  return Math.floor(Math.random() * 2 ** 32);
}
