/**
 * Numbers to blocks of ggml's types and to 8-bit floats. Simple and deterministic: the largest magnitude (or the range)
 * of a block sets its scale, codes are the nearest.
 */
import { float16ToNumber, numberToFloat16 } from "../../tensor/dtype.js";
import { codeValues } from "../quantized/codes.js";

/** Rows of a multiple of 32 numbers to blocks of Q8_0. */
export function quantizeQ8_0(values: Float32Array): Uint8Array {
  const out = new Uint8Array((values.length / 32) * 34);
  for (let block = 0; block < values.length / 32; block++) {
    const numbers = values.subarray(block * 32, block * 32 + 32);
    const bits = numberToFloat16(largest(numbers) / 127);
    const scale = float16ToNumber(bits);
    putHalf(out, block * 34, bits);
    for (let i = 0; i < 32; i++) out[block * 34 + 2 + i] = nearest(numbers[i]!, scale, -127, 127) & 0xff;
  }
  return out;
}

/** Rows of a multiple of 256 numbers to blocks of Q4_K. */
export function quantizeQ4_K(values: Float32Array): Uint8Array {
  const out = new Uint8Array((values.length / 256) * 144);
  for (let block = 0; block < values.length / 256; block++) {
    const at = block * 144;
    const numbers = values.subarray(block * 256, block * 256 + 256);
    const parts = Array.from({ length: 8 }, (_, part) =>
      rangeOf(numbers.subarray(part * 32, part * 32 + 32)),
    );
    const scaleBits = numberToFloat16(Math.max(...parts.map(({ step }) => step)) / 63);
    const minBits = numberToFloat16(Math.max(...parts.map(({ below }) => below)) / 63);
    const [d, dmin] = [float16ToNumber(scaleBits), float16ToNumber(minBits)];
    putHalf(out, at, scaleBits);
    putHalf(out, at + 2, minBits);
    for (const [part, { step, below }] of parts.entries()) {
      const scale = nearest(step, d, 0, 63);
      const min = nearest(below, dmin, 0, 63);
      putScales(out, at + 4, part, scale, min);
      for (let i = 0; i < 32; i++) {
        const code = nearest(numbers[part * 32 + i]! + dmin * min, d * scale, 0, 15);
        out[at + 16 + (part >> 1) * 32 + i]! |= code << ((part & 1) * 4);
      }
    }
  }
  return out;
}

/** Numbers of one row to codes of E4M3 under one scale: the row's largest magnitude is the largest code. */
export function quantizeE4M3(values: Float32Array): { readonly codes: Uint8Array; readonly scale: number } {
  const scale = Math.fround(largest(values) / 448) || 1;
  const codes =
    values.length > 0 ? Uint8Array.from(values, (value) => nearestE4M3(value / scale)) : new Uint8Array();
  return { codes, scale };
}

/** Values of the codes 0 to 126, which rise. */
const E4M3 = codeValues("F8_E4M3").slice(0, 127);

function nearestE4M3(value: number): number {
  const size = Math.abs(value);
  let [low, high] = [0, 126];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (E4M3[middle]! <= size) low = middle;
    else high = middle;
  }
  const code = E4M3[high]! - size < size - E4M3[low]! ? high : low;
  return value < 0 ? code | 0x80 : code;
}

function largest(values: Float32Array): number {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}

/** Step of 15 between the least number, or 0 where none is below, and the largest one. */
function rangeOf(values: Float32Array): { step: number; below: number } {
  let [least, most] = [0, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return { step: Math.max(0, most - least) / 15, below: -least };
}

function nearest(value: number, scale: number, least: number, most: number): number {
  return scale === 0 ? 0 : Math.max(least, Math.min(most, Math.round(value / scale)));
}

function putHalf(out: Uint8Array, at: number, bits: number): void {
  out[at] = bits & 0xff;
  out[at + 1] = bits >> 8;
}

/** The inverse of how `decodeQ4_K` finds them. */
function putScales(out: Uint8Array, at: number, part: number, scale: number, min: number): void {
  if (part < 4) {
    out[at + part]! |= scale;
    out[at + part + 4]! |= min;
    return;
  }
  out[at + part + 4]! |= (scale & 15) | ((min & 15) << 4);
  out[at + part - 4]! |= (scale >> 4) << 6;
  out[at + part]! |= (min >> 4) << 6;
}
