/**
 * Blocks of two to four bits a number to floats, as `decode-blocks.ts` does with the others. They are read only: no
 * kernel takes them as they are.
 */
import { half } from "./decode-blocks.js";

const { fround } = Math;

/** What the 16 codes of the non-linear types stand for. */
const NON_LINEAR = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

/** `(d * scale) * q - dmin * min` with 4-bit scales and mins for every 16 of 256 numbers. */
export function decodeQ2_K(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0, o = 0; o < out.length; block += 84, o += 256) {
    const [d, dmin] = [half(blocks, block + 80), half(blocks, block + 82)];
    for (let part = 0; part < 16; part++) {
      const both = blocks[block + part]!;
      const [scale, min] = [fround(d * (both & 15)), fround(dmin * (both >> 4))];
      const { at, shift } = twoBits(part);
      for (let i = 0; i < 16; i++)
        out[o + part * 16 + i] = fround(scale * ((blocks[block + 16 + at + i]! >> shift) & 3)) - min;
    }
  }
}

/** `(d * (scale - 32)) * q` with 6-bit scales for every 16 of 256 numbers; q is 4 less where its third bit is not set. */
export function decodeQ3_K(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0, o = 0; o < out.length; block += 110, o += 256) {
    const d = half(blocks, block + 108);
    const scales = block + 96;
    for (let part = 0; part < 16; part++) {
      const low = (blocks[scales + (part & 7)]! >> (part < 8 ? 0 : 4)) & 15;
      const high = (blocks[scales + 8 + (part & 3)]! >> (2 * (part >> 2))) & 3;
      const scale = fround(d * ((low | (high << 4)) - 32));
      const { at, shift } = twoBits(part);
      for (let i = 0; i < 16; i++) {
        // A byte of third bits has one for every 32 numbers.
        const third = (blocks[block + (part & 1) * 16 + i]! >> (part >> 1)) & 1;
        const q = ((blocks[block + 32 + at + i]! >> shift) & 3) - (third ? 0 : 4);
        out[o + part * 16 + i] = scale * q;
      }
    }
  }
}

/** `d * value(q)`; low halves of the 16 bytes first, then the high ones. */
export function decodeIQ4_NL(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0, o = 0; o < out.length; block += 18, o += 32) {
    nonLinear(blocks, block + 2, half(blocks, block), out, o);
  }
}

/** `(d * (scale - 32)) * value(q)` with 6-bit scales for every 32 of 256 numbers. */
export function decodeIQ4_XS(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0, o = 0; o < out.length; block += 136, o += 256) {
    const d = half(blocks, block);
    for (let part = 0; part < 8; part++) {
      const low = (blocks[block + 4 + (part >> 1)]! >> (4 * (part & 1))) & 15;
      const high = (blocks[block + 2 + (part >> 2)]! >> (2 * (part & 3))) & 3;
      const scale = fround(d * ((low | (high << 4)) - 32));
      nonLinear(blocks, block + 8 + part * 16, scale, out, o + part * 32);
    }
  }
}

/** Where the two bits of a part of 16 numbers lie: 32 bytes hold four runs of 32 numbers. */
function twoBits(part: number): { at: number; shift: number } {
  return { at: (part >> 3) * 32 + (part & 1) * 16, shift: ((part >> 1) & 3) * 2 };
}

function nonLinear(blocks: Uint8Array, at: number, scale: number, out: Float32Array, o: number): void {
  for (let i = 0; i < 16; i++) {
    const byte = blocks[at + i]!;
    out[o + i] = scale * NON_LINEAR[byte & 15]!;
    out[o + 16 + i] = scale * NON_LINEAR[byte >> 4]!;
  }
}
