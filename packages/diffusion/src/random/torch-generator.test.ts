import { describe, expect, it } from "vitest";
import { roundToBfloat16, roundToFloat16 } from "./float-rounding.js";
import { Mt19937 } from "./mt19937.js";
import { TorchCpuGenerator } from "./torch-generator.js";

describe("Mt19937", () => {
  it("gives the published 10000th number of seed 5489", () => {
    const engine = new Mt19937(5489);
    for (let i = 0; i < 9999; i++) engine.nextUint32();
    // From the C++ standard, [rand.predef]: the 10000th value of a default-constructed mt19937.
    expect(engine.nextUint32()).toBe(4123659995);
  });
});

describe("TorchCpuGenerator", () => {
  it("starts again after manualSeed, dropping the kept number of a short draw", () => {
    const generator = new TorchCpuGenerator(7);
    const first = generator.randn([3]);
    expect(generator.manualSeed(7).randn([3])).toEqual(first);
  });

  it("keeps the second number of a short draw across a long one", () => {
    const [a, b] = [new TorchCpuGenerator(3), new TorchCpuGenerator(3)];
    const [, second] = b.randn([2]);
    a.randn([1]);
    a.randn([32]);
    expect(a.randn([1])[0]).toBe(second);
  });

  it("looks at the low 32 bits of the seed, negative ones included", () => {
    expect(new TorchCpuGenerator(2n ** 40n + 5n).randn([20])).toEqual(new TorchCpuGenerator(5).randn([20]));
    expect(new TorchCpuGenerator(-1).randn([20])).toEqual(new TorchCpuGenerator(2 ** 32 - 1).randn([20]));
  });

  it("is normal: mean 0, variance 1, kurtosis 3 over a million numbers", () => {
    const values = new TorchCpuGenerator(11).randn([1000, 1000]);
    const moment = (n: number) => values.reduce((sum, x) => sum + x ** n, 0) / values.length;
    // Four standard errors of each estimate for a million numbers.
    expect(Math.abs(moment(1))).toBeLessThan(0.004);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.006);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.04);
  });

  it("refuses seeds and shapes that it can not honour", () => {
    expect(() => new TorchCpuGenerator(0.5)).toThrow(/whole number/);
    expect(() => new TorchCpuGenerator(2 ** 60)).toThrow(/bigint/);
    expect(() => new TorchCpuGenerator(2n ** 64n)).toThrow(/2\^64 - 1/);
    expect(() => new TorchCpuGenerator(0).randn([4, -1])).toThrow(/size -1/);
    expect(new TorchCpuGenerator(0).randn([4, 0])).toHaveLength(0);
  });
});

describe("rounding", () => {
  it("goes to the nearest value, ties to even, subnormals included", () => {
    expect([1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -8].map(roundToBfloat16)).toEqual([1, 1 + 2 ** -6, -1]);
    expect([1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -25, 3 * 2 ** -25].map(roundToFloat16)).toEqual([
      1,
      1 + 2 ** -9,
      0,
      2 ** -23,
    ]);
    expect(roundToFloat16(2 - 2 ** -13)).toBe(2);
  });
});
