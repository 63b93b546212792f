/** Blocks against the numbers that they were written from: the codes are laid out here the other way round. */
import { describe, expect, it } from "vitest";
import { numberToFloat16 } from "../../tensor/dtype.js";
import { decodeIQ4_NL, decodeIQ4_XS, decodeQ2_K, decodeQ3_K } from "./decode-few-bits.js";

const D = 0.5;
const DMIN = 0.25;
let state = 7;
/** Whole numbers below `below`. */
const draw = (count: number, below: number) =>
  Array.from({ length: count }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 16) % below;
  });

function put16(block: Uint8Array, at: number, bits: number): void {
  block[at] = bits & 255;
  block[at + 1] = bits >> 8;
}

/** Number i's two bits: halves of 128 numbers, in each of which number 32 r + j has bits 2 r and up of byte j. */
function putTwoBits(block: Uint8Array, at: number, i: number, code: number): void {
  block[at + 32 * Math.floor(i / 128) + (i % 32)]! |= code << (2 * (Math.floor(i / 32) % 4));
}

const LEVELS = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

describe("blocks of few bits", () => {
  it("of Q2_K", () => {
    const block = new Uint8Array(84);
    const [codes, scales, mins] = [draw(256, 4), draw(16, 16), draw(16, 16)];
    put16(block, 80, numberToFloat16(D));
    put16(block, 82, numberToFloat16(DMIN));
    for (let s = 0; s < 16; s++) block[s] = scales[s]! + 16 * mins[s]!;
    for (const [i, code] of codes.entries()) putTwoBits(block, 16, i, code);
    const out = new Float32Array(256);
    decodeQ2_K(block, out);
    const part = (i: number) => Math.floor(i / 16);
    expect([...out]).toEqual(codes.map((q, i) => D * scales[part(i)]! * q - DMIN * mins[part(i)]!));
  });

  it("of Q3_K", () => {
    const block = new Uint8Array(110);
    const [codes, scales] = [draw(256, 8), draw(16, 64)];
    put16(block, 108, numberToFloat16(D));
    for (const [i, code] of codes.entries()) {
      putTwoBits(block, 32, i, code % 4);
      // The third bit of number 32 r + j is bit r of byte j.
      if (code >= 4) block[i % 32]! |= 1 << Math.floor(i / 32);
    }
    for (const [s, scale] of scales.entries()) {
      block[96 + (s % 8)]! |= (scale % 16) << (s < 8 ? 0 : 4);
      block[104 + (s % 4)]! |= Math.floor(scale / 16) << (2 * Math.floor(s / 4));
    }
    const out = new Float32Array(256);
    decodeQ3_K(block, out);
    // `+ 0` makes a negative zero a positive one.
    expect([...out].map((x) => x + 0)).toEqual(
      codes.map((q, i) => D * (scales[Math.floor(i / 16)]! - 32) * (q - 4) + 0),
    );
  });

  it("of IQ4_NL", () => {
    const block = new Uint8Array(18);
    const codes = draw(32, 16);
    put16(block, 0, numberToFloat16(D));
    for (const [i, code] of codes.entries()) block[2 + (i % 16)]! |= code << (i < 16 ? 0 : 4);
    const out = new Float32Array(32);
    decodeIQ4_NL(block, out);
    expect([...out]).toEqual(codes.map((q) => D * LEVELS[q]!));
  });

  it("of IQ4_XS", () => {
    const block = new Uint8Array(136);
    const [codes, scales] = [draw(256, 16), draw(8, 64)];
    put16(block, 0, numberToFloat16(D));
    let high = 0;
    for (const [s, scale] of scales.entries()) {
      high |= Math.floor(scale / 16) << (2 * s);
      block[4 + Math.floor(s / 2)]! |= (scale % 16) << (4 * (s % 2));
    }
    put16(block, 2, high);
    for (const [i, code] of codes.entries())
      block[8 + 16 * Math.floor(i / 32) + (i % 16)]! |= code << (i % 32 < 16 ? 0 : 4);
    const out = new Float32Array(256);
    decodeIQ4_XS(block, out);
    expect([...out].map((x) => x + 0)).toEqual(
      codes.map((q, i) => D * (scales[Math.floor(i / 32)]! - 32) * LEVELS[q]! + 0),
    );
  });
});
