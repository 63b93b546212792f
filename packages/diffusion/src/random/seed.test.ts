import { describe, expect, it } from "vitest";
import { assertSeed, lowWord, parseSeed, plainSeed, randomSeed, seedForJson, seedProblem } from "./seed.js";

describe("seeds", () => {
  it.each<[string, number | bigint | undefined]>([
    ["0", 0],
    ["+7", 7],
    ["-0", 0],
    ["-1", -1],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
    ["9007199254740993", 9007199254740993n],
    ["18446744073709551615", 18446744073709551615n],
    ["-9223372036854775808", -9223372036854775808n],
    ["00042", 42],
    ["", undefined],
    ["1e3", undefined],
    ["0x10", undefined],
    ["1.0", undefined],
    [" 1", undefined],
    ["9".repeat(500), undefined],
  ])("parse exactly: %s", (text, expected) => {
    expect(parseSeed(text)).toBe(expected);
  });

  it("use the low 32 bits, negative ones as two's complement", () => {
    // By hand: 18446744073709551615 = 2^64 - 1; 6872323072689856351 mod 2^32 = 1768316767.
    expect(lowWord(18446744073709551615n)).toBe(4294967295);
    expect(lowWord(6872323072689856351n)).toBe(1768316767);
    expect(lowWord(9007199254740993n)).toBe(1);
    expect(lowWord(-1)).toBe(4294967295);
    expect(lowWord(-(2n ** 63n))).toBe(0);
  });

  it("are limited to 64 bits, and to what a number holds", () => {
    for (const seed of [0, -1, 2 ** 53 - 1, 2n ** 64n - 1n, -(2n ** 63n)])
      expect(seedProblem(seed)).toBeUndefined();
    expect(seedProblem(2n ** 64n)).toMatch(/2\^64 - 1/);
    expect(seedProblem(-(2n ** 63n) - 1n)).toMatch(/-2\^63/);
    expect(seedProblem(2 ** 53)).toMatch(/bigint/);
    expect(seedProblem(1e300)).toMatch(/2\^64/);
    for (const seed of [0.5, Number.NaN, "7", null, undefined, {}])
      expect(seedProblem(seed)).toMatch(/whole number/);
    expect(() => assertSeed(2 ** 60)).toThrow(
      expect.objectContaining({ code: "SEED_INVALID", fix: expect.anything() }),
    );
  });

  it("stay exact in JSON", () => {
    const read = (seed: number | bigint) => JSON.parse(JSON.stringify(seedForJson(seed))) as unknown;
    expect(read(5n)).toBe(5);
    expect(read(-1)).toBe(-1);
    expect(read(9007199254740993n)).toBe("9007199254740993");
    expect(plainSeed(5n)).toBe(5);
    expect(randomSeed()).toBeLessThan(2 ** 32);
  });
});
