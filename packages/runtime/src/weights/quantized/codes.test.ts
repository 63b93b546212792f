/** Every code of the 8-bit types against the definition of its layout. */
import { describe, expect, it } from "vitest";
import { decodeFloats } from "../../tensor/dtype.js";
import { type CodeDType, codeValues, float8AsBfloat16 } from "./codes.js";

interface Layout {
  readonly exponent: number;
  readonly bias: number;
  /** Of a magnitude (the 7 lower bits): what it stands for where that is no finite number. */
  readonly special: (magnitude: number) => number | undefined;
  readonly hasNegativeZero: boolean;
}

/** OCP 8-bit floating point; FNUZ: arXiv 2206.02915. */
const LAYOUTS: Readonly<Record<Exclude<CodeDType, "I8">, Layout>> = {
  F8_E4M3: {
    ...{ exponent: 4, bias: 7, hasNegativeZero: true },
    special: (magnitude) => (magnitude === 127 ? Number.NaN : undefined),
  },
  F8_E5M2: {
    ...{ exponent: 5, bias: 15, hasNegativeZero: true },
    special: (magnitude) => (magnitude < 124 ? undefined : magnitude === 124 ? Infinity : Number.NaN),
  },
  F8_E4M3FNUZ: { exponent: 4, bias: 8, hasNegativeZero: false, special: () => undefined },
  F8_E5M2FNUZ: { exponent: 5, bias: 16, hasNegativeZero: false, special: () => undefined },
};
const LARGEST = { F8_E4M3: 448, F8_E5M2: 57344, F8_E4M3FNUZ: 240, F8_E5M2FNUZ: 57344 };
const SMALLEST = { F8_E4M3: 2 ** -9, F8_E5M2: 2 ** -16, F8_E4M3FNUZ: 2 ** -10, F8_E5M2FNUZ: 2 ** -17 };

describe.each(Object.entries(LAYOUTS))("%s", (name, { exponent: bits, bias, special, hasNegativeZero }) => {
  const dtype = name as keyof typeof LAYOUTS;
  const fraction = 7 - bits;
  const expected = Array.from({ length: 256 }, (_, code) => {
    const magnitude = code % 128;
    if (code === 128 && !hasNegativeZero) return Number.NaN;
    const exponent = Math.floor(magnitude / 2 ** fraction);
    const part = magnitude % 2 ** fraction;
    const unit = 2 ** (Math.max(exponent, 1) - bias - fraction);
    const value = special(magnitude) ?? unit * (part + (exponent > 0 ? 2 ** fraction : 0));
    return code < 128 ? value : -value;
  });

  it("has the value of each of its 256 codes, also as bf16", () => {
    expect([...codeValues(dtype)]).toEqual(expected);
    expect([...decodeFloats(new Uint8Array(float8AsBfloat16(dtype).buffer), "bf16")]).toEqual(expected);
  });

  it("reaches from its smallest to its largest number", () => {
    const finite = [...codeValues(dtype)].filter((value) => Number.isFinite(value) && value > 0);
    expect([Math.min(...finite), Math.max(...finite)]).toEqual([SMALLEST[dtype], LARGEST[dtype]]);
  });
});

it("signed integers are themselves", () => {
  expect([...codeValues("I8")]).toEqual([
    ...new Int8Array(Uint8Array.from({ length: 256 }, (_, i) => i).buffer),
  ]);
});
