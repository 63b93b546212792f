/**
 * Quantized weights as the GPU keeps them: blocks of whole 32-bit words that hold what the file holds, codes and scales,
 * in another order. Nothing is rounded on the way.
 *
 * | type | a block |
 * | --- | --- |
 * | q8_0 | 64 signed codes, then two f16 scales for 32 codes each: code times scale |
 * | q4_0 | 64 codes of 4 bits in order, then two f16 scales: (code - 8) times scale |
 * | q4_k, q5_k | 256 codes as ggml has them: f16 d and dmin, 12 bytes of 6-bit scales and mins, (32 bytes of fifth bits,) 128 of codes |
 * | q6_k | 256 codes as ggml has them: 128 bytes of low and 64 of high bits, 16 8-bit scales, f16 d, and two bytes to fill a word |
 * | f8_e4m3, f8_e5m2 | 64 codes, then one f32 scale: code times scale |
 */

import type { PackedDType } from "../../tensor/dtype.js";
import type { BlockGgmlType, GgmlQuantization } from "../gguf/ggml-types.js";

const PACKED: Readonly<Partial<Record<GgmlQuantization, PackedDType>>> = {
  ...{ Q8_0: "q8_0", Q4_0: "q4_0", Q4_K: "q4_k", Q5_K: "q5_k", Q6_K: "q6_k" },
};

/** The packed type that keeps blocks of a GGUF type; undefined for types that are widened when they are read. */
export function packedGgmlType(name: GgmlQuantization): PackedDType | undefined {
  return PACKED[name];
}

/** Whole GGUF blocks to packed ones; of Q8_0 and Q4_0 an even number. */
export function packGgmlBlocks(type: BlockGgmlType, blocks: Uint8Array): Uint8Array {
  if (type.name === "Q4_K" || type.name === "Q5_K") return blocks;
  if (type.name === "Q6_K") return padded(blocks, type.bytes, 212);
  const isByte = type.name === "Q8_0";
  const codes = isByte ? 32 : 16;
  const pairs = blocks.length / (2 * type.bytes);
  const bytesOut = 2 * codes + 4;
  const out = new Uint8Array(pairs * bytesOut);
  for (let pair = 0; pair < pairs; pair++) {
    const to = pair * bytesOut;
    for (let half = 0; half < 2; half++) {
      const from = (2 * pair + half) * type.bytes;
      out.set(blocks.subarray(from, from + 2), to + 2 * codes + 2 * half);
      if (isByte) out.set(blocks.subarray(from + 2, from + 34), to + 32 * half);
      else inOrder(blocks, from + 2, out, to + 16 * half);
    }
  }
  return out;
}

/** Blocks of `from` bytes, each filled up to `to`. */
function padded(blocks: Uint8Array, from: number, to: number): Uint8Array {
  const count = blocks.length / from;
  const out = new Uint8Array(count * to);
  for (let block = 0; block < count; block++)
    out.set(blocks.subarray(block * from, (block + 1) * from), block * to);
  return out;
}

/** ggml keeps number i beside number i + 16; here two neighbours share a byte. */
function inOrder(blocks: Uint8Array, from: number, out: Uint8Array, to: number): void {
  for (let i = 0; i < 8; i++) {
    const [low, high] = [blocks[from + 2 * i]!, blocks[from + 2 * i + 1]!];
    out[to + i] = (low & 15) | ((high & 15) << 4);
    out[to + 8 + i] = (low >> 4) | (high & 0xf0);
  }
}

/** 8-bit codes that begin at element `first` of a tensor, a multiple of 64, with the scale of each run of 64. */
export function packCodes(codes: Uint8Array, scaleOf: (run: number) => number, first: number): Uint8Array {
  const runs = codes.length / 64;
  const out = new Uint8Array(runs * 68);
  const view = new DataView(out.buffer);
  for (let run = 0; run < runs; run++) {
    out.set(codes.subarray(run * 64, run * 64 + 64), run * 68);
    view.setFloat32(run * 68 + 64, scaleOf(first / 64 + run), true);
  }
  return out;
}
