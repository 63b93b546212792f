/**
 * Blocks of quantized numbers to floats. Layouts: https://github.com/ggml-org/ggml, `src/ggml-common.h`; order of the
 * operations: its `dequantize_row_*`. Each product and each difference is rounded to 32 bits, so that the results are
 * equal to ggml's bit by bit (compiled without fused products).
 */
import { float16ToNumber } from "../../tensor/dtype.js";

const { fround } = Math;

/** f16 at byte `at`. */
export function half(blocks: Uint8Array, at: number): number {
  return float16ToNumber(blocks[at]! | (blocks[at + 1]! << 8));
}

function signed(byte: number): number {
  return (byte << 24) >> 24;
}

/** `d * q`, q from -128 to 127. */
export function decodeQ8_0(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0, o = 0; o < out.length; block += 34) {
    const d = half(blocks, block);
    for (let i = 0; i < 32; i++) out[o++] = d * signed(blocks[block + 2 + i]!);
  }
}

/** `d * (q - 8)`; low halves of the 16 bytes first, then the high ones. */
export function decodeQ4_0(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0, o = 0; o < out.length; block += 18, o += 32) {
    const d = half(blocks, block);
    for (let i = 0; i < 16; i++) {
      const byte = blocks[block + 2 + i]!;
      out[o + i] = d * ((byte & 15) - 8);
      out[o + 16 + i] = d * ((byte >> 4) - 8);
    }
  }
}

/** `d * q + m`. */
export function decodeQ4_1(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0, o = 0; o < out.length; block += 20, o += 32) {
    const d = half(blocks, block);
    const m = half(blocks, block + 2);
    for (let i = 0; i < 16; i++) {
      const byte = blocks[block + 4 + i]!;
      out[o + i] = fround(d * (byte & 15)) + m;
      out[o + 16 + i] = fround(d * (byte >> 4)) + m;
    }
  }
}

/** `d * (q - 16)`; the fifth bits of all 32 numbers stand in front. */
export function decodeQ5_0(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0, o = 0; o < out.length; block += 22, o += 32) {
    const d = half(blocks, block);
    for (let i = 0; i < 16; i++) {
      const byte = blocks[block + 6 + i]!;
      out[o + i] = d * (((byte & 15) | (fifthBit(blocks, block + 2, i) << 4)) - 16);
      out[o + 16 + i] = d * (((byte >> 4) | (fifthBit(blocks, block + 2, i + 16) << 4)) - 16);
    }
  }
}

/** `d * q + m`. */
export function decodeQ5_1(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0, o = 0; o < out.length; block += 24, o += 32) {
    const d = half(blocks, block);
    const m = half(blocks, block + 2);
    for (let i = 0; i < 16; i++) {
      const byte = blocks[block + 8 + i]!;
      out[o + i] = fround(d * ((byte & 15) | (fifthBit(blocks, block + 4, i) << 4))) + m;
      out[o + 16 + i] = fround(d * ((byte >> 4) | (fifthBit(blocks, block + 4, i + 16) << 4))) + m;
    }
  }
}

function fifthBit(blocks: Uint8Array, bits: number, i: number): number {
  return (blocks[bits + (i >> 3)]! >> (i & 7)) & 1;
}

/** `(d * scale) * q - dmin * min` with 6-bit scales and mins for every 32 of 256 numbers. */
export function decodeQ4_K(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0, o = 0; o < out.length; block += 144, o += 256) {
    for (let part = 0; part < 8; part++) {
      const { scale, min } = subScale(blocks, block, part);
      const shift = (part & 1) * 4;
      const quants = block + 16 + (part >> 1) * 32;
      for (let i = 0; i < 32; i++)
        out[o + part * 32 + i] = fround(scale * ((blocks[quants + i]! >> shift) & 15)) - min;
    }
  }
}

/** As Q4_K, with a fifth bit from 32 bytes of which each holds one bit for every part. */
export function decodeQ5_K(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0, o = 0; o < out.length; block += 176, o += 256) {
    for (let part = 0; part < 8; part++) {
      const { scale, min } = subScale(blocks, block, part);
      const shift = (part & 1) * 4;
      const quants = block + 48 + (part >> 1) * 32;
      for (let i = 0; i < 32; i++) {
        const high = ((blocks[block + 16 + i]! >> part) & 1) << 4;
        const q = ((blocks[quants + i]! >> shift) & 15) | high;
        out[o + part * 32 + i] = fround(scale * q) - min;
      }
    }
  }
}

/** `(d * scale) * (q - 32)` with 8-bit scales for every 16 of 256 numbers. */
export function decodeQ6_K(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0, o = 0; o < out.length; block += 210, o += 256) {
    const d = half(blocks, block + 208);
    for (let i = 0; i < 256; i++) {
      // Halves of 128 numbers, each of four runs of 32 that share bytes.
      const [run, at] = [(i >> 5) & 3, i & 31];
      const low = blocks[block + (i >> 7) * 64 + (run & 1) * 32 + at]! >> ((run >> 1) * 4);
      const high = blocks[block + 128 + (i >> 7) * 32 + at]! >> (run * 2);
      const scale = signed(blocks[block + 192 + (i >> 4)]!);
      out[o + i] = fround(d * scale) * (((low & 15) | ((high & 3) << 4)) - 32);
    }
  }
}

/** Scale and minimum of one of the eight parts of a Q4_K or Q5_K block. */
function subScale(blocks: Uint8Array, block: number, part: number): { scale: number; min: number } {
  const at = block + 4;
  let scale: number;
  let min: number;
  if (part < 4) {
    scale = blocks[at + part]! & 63;
    min = blocks[at + part + 4]! & 63;
  } else {
    scale = (blocks[at + part + 4]! & 15) | ((blocks[at + part - 4]! >> 6) << 4);
    min = (blocks[at + part + 4]! >> 4) | ((blocks[at + part]! >> 6) << 4);
  }
  return { scale: fround(half(blocks, block) * scale), min: fround(half(blocks, block + 2) * min) };
}
