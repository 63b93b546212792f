/**
 * Blocks whose scales are at the ends of f16, with random codes: every number against the formula of its type, with one
 * rounding to f32 for each operation. Each number's code is written into the block by its definition, one at a time.
 */
import { describe, expect, it } from "vitest";
import { seededUniform } from "../../testing/random.js";
import { blockType, type GgmlQuantization } from "./ggml-types.js";

const { fround } = Math;
/** f16 bits and values: zeros of both signs, the smallest and largest subnormal, the smallest normal, and the largest. */
const SCALES: readonly (readonly [bits: number, value: number])[] = [
  [0x0000, 0],
  [0x8000, -0],
  [0x0001, 2 ** -24],
  [0x83ff, -1023 * 2 ** -24],
  [0x0400, 2 ** -14],
  [0x3c01, 1 + 2 ** -10],
  [0x7bff, 65504],
  [0xfbff, -65504],
];
const uniform = seededUniform(20261128);
const random = (below: number) => Math.floor(uniform() * below);

function put16(block: Uint8Array, at: number, bits: number): void {
  block[at] = bits & 255;
  block[at + 1] = bits >> 8;
}

interface Made {
  readonly block: Uint8Array;
  readonly values: readonly number[];
}
type Scale = (typeof SCALES)[number];

/** Sub-scales and minima of Q4_K and Q5_K: six bits each, the first four whole, the others with two bits apart. */
function putSix(block: Uint8Array, scales: readonly number[], mins: readonly number[]): void {
  for (let i = 0; i < 4; i++) {
    block[4 + i] = scales[i]! | ((scales[i + 4]! >> 4) << 6);
    block[8 + i] = mins[i]! | ((mins[i + 4]! >> 4) << 6);
    block[12 + i] = (scales[i + 4]! & 15) | ((mins[i + 4]! & 15) << 4);
  }
}

function kBlock(d: Scale, m: Scale, bytes: number, codeBits: number): Made {
  const block = new Uint8Array(bytes);
  const [scales, mins] = [0, 1].map(() => Array.from({ length: 8 }, () => random(64))) as [
    number[],
    number[],
  ];
  scales[0] = 63;
  mins[7] = 63;
  scales[3] = 0;
  put16(block, 0, d[0]);
  put16(block, 2, m[0]);
  putSix(block, scales, mins);
  const codes = Array.from({ length: 256 }, () => random(2 ** codeBits));
  const nibbles = bytes - 128;
  const values = codes.map((code, i) => {
    const part = Math.floor(i / 32);
    // Two parts share 32 bytes, low halves first.
    block[nibbles + 32 * Math.floor(part / 2) + (i % 32)]! |= (code & 15) << (4 * (part % 2));
    if (codeBits === 5) block[16 + (i % 32)]! |= (code >> 4) << part;
    const scale = fround(d[1] * scales[part]!);
    const min = fround(m[1] * mins[part]!);
    return fround(fround(scale * code) - min);
  });
  return { block, values };
}

const MAKERS: Readonly<Partial<Record<GgmlQuantization, (d: Scale, m: Scale) => Made>>> = {
  Q8_0: ([bits, d]) => {
    const block = new Uint8Array(34);
    put16(block, 0, bits);
    const codes = Array.from({ length: 32 }, (_, i) => (i === 0 ? -128 : i === 1 ? 127 : random(256) - 128));
    for (const [i, code] of codes.entries()) block[2 + i] = code & 255;
    return { block, values: codes.map((code) => fround(d * code)) };
  },
  Q4_0: ([bits, d]) => {
    const block = new Uint8Array(18);
    put16(block, 0, bits);
    const codes = Array.from({ length: 32 }, () => random(16));
    for (const [i, code] of codes.entries()) block[2 + (i % 16)]! |= code << (i < 16 ? 0 : 4);
    return { block, values: codes.map((code) => fround(d * (code - 8))) };
  },
  Q4_K: (d, m) => kBlock(d, m, 144, 4),
  Q5_K: (d, m) => kBlock(d, m, 176, 5),
  Q6_K: ([bits, d]) => {
    const block = new Uint8Array(210);
    put16(block, 208, bits);
    const scales = Array.from({ length: 16 }, (_, i) => (i === 0 ? -128 : i === 1 ? 127 : random(256) - 128));
    for (const [i, scale] of scales.entries()) block[192 + i] = scale & 255;
    const values = Array.from({ length: 256 }, (_, i) => {
      const code = random(64);
      const [half, run, at] = [Math.floor(i / 128), Math.floor(i / 32) % 4, i % 32];
      block[64 * half + 32 * (run % 2) + at]! |= (code & 15) << (run < 2 ? 0 : 4);
      block[128 + 32 * half + at]! |= (code >> 4) << (2 * run);
      return fround(fround(d * scales[Math.floor(i / 16)]!) * (code - 32));
    });
    return { block, values };
  },
};

/** Bits, so that zeros have signs. */
const bitsOf = (values: ArrayLike<number>) => [...new Uint32Array(Float32Array.from(values).buffer)];

describe.each(Object.entries(MAKERS))("%s", (name, make) => {
  it.each(SCALES)("with the scale of bits %i, %d", (...d) => {
    const type = blockType(name as GgmlQuantization);
    const made = SCALES.map((m) => make(d, m));
    const blocks = Uint8Array.from(made.flatMap(({ block }) => [...block]));
    const out = new Float32Array(made.length * type.elements);
    type.decode(blocks, out);
    expect(bitsOf(out)).toEqual(bitsOf(made.flatMap(({ values }) => values)));
  });
});
