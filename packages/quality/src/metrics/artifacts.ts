/**
 * Faults that generated frames tend to have: bands instead of gradients, textures that repeat, noise that is none of a
 * camera. The measures are those of vqeval, the Python companion of LVSA.
 */
import { mean, variance } from "../statistics.js";
import { areaMeans } from "./area-means.js";
import { gaussian, separable } from "./filters.js";

export interface Artifacts {
  /** 0 to 1: flat areas whose brightness lies near multiples of 8. High for plain graphics, too. */
  readonly banding: number;
  /** 0 to 1: how completely a frame matches itself, moved by an eighth of its size or more. */
  readonly tiling: number;
  /** 0 to 1: how far the finest detail is from even Gaussian noise. */
  readonly noiseAnomaly: number;
}

/** Every frame of a short clip, about ten of a longer one. */
function sampled<T>(frames: readonly T[], count: number): T[] {
  const step = Math.max(1, Math.floor(frames.length / count));
  return frames.filter((_, i) => i % step === 0);
}

/** @param frames luma, `[height, width]` each */
export function measureArtifacts(frames: readonly Uint8Array[], width: number, height: number): Artifacts {
  const some = sampled(frames, 8);
  return {
    banding: mean(sampled(frames, 10).map((frame) => banding(frame, width, height))),
    tiling: mean(some.map((frame) => tiling(frame, width, height))),
    noiseAnomaly: mean(some.map((frame) => noiseAnomaly(frame, width, height))),
  };
}

/** To the nearest multiple of 8, halves to the even one. */
function nearestEight(value: number): number {
  const [low, rest] = [Math.floor(value / 8), value % 8];
  return 8 * (rest > 4 || (rest === 4 && low % 2 === 1) ? low + 1 : low);
}

export function banding(frame: Uint8Array, width: number, height: number): number {
  const gx = separable(frame, width, height, [-1, 0, 1], [1, 2, 1]);
  const gy = separable(frame, width, height, [1, 2, 1], [-1, 0, 1]);
  const off: number[] = [];
  for (let i = 0; i < frame.length; i++) {
    if (Math.sqrt(gx[i]! ** 2 + gy[i]! ** 2) < 2) off.push(Math.abs(frame[i]! - nearestEight(frame[i]!)));
  }
  const flat = off.length / frame.length;
  return flat > 0.3 ? (flat - 0.3) * (1 - mean(off) / 4) : 0;
}

/** The longer side that is compared: the transforms take time with its square. */
const TILING_SIDE = 128;

/** The largest circular autocorrelation beyond an eighth of the frame; 0 for a frame of one colour. */
export function tiling(frame: Uint8Array, width: number, height: number): number {
  const scale = Math.min(1, TILING_SIDE / Math.max(width, height));
  const [columns, rows] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  const small = scale < 1 ? areaMeans(frame, [height, width, 1], [rows, columns]) : Float64Array.from(frame);
  const centre = mean(small);
  const power = powerSpectrum(
    small.map((value) => value - centre),
    columns,
    rows,
  );
  const correlation = cosineTransform(power, columns, rows);
  const whole = correlation[0]!;
  if (!(whole > 1e-9)) return 0;
  const [marginX, marginY] = [Math.floor(columns / 8), Math.floor(rows / 8)];
  let largest = 0;
  for (let y = 0; y < rows; y++) {
    const isNearY = y < marginY || y >= rows - marginY;
    for (let x = 0; x < columns; x++) {
      if (isNearY && (x < marginX || x >= columns - marginX)) continue;
      largest = Math.max(largest, Math.abs(correlation[y * columns + x]! / whole));
    }
  }
  return largest;
}

/** Cosines and sines of whole turns by `size`. */
function turns(size: number): { readonly cos: Float64Array; readonly sin: Float64Array } {
  const angles = Float64Array.from({ length: size }, (_, i) => (2 * Math.PI * i) / size);
  return { cos: angles.map(Math.cos), sin: angles.map(Math.sin) };
}

function powerSpectrum(values: Float64Array, width: number, height: number): Float64Array {
  const [across, down] = [turns(width), turns(height)];
  const real = new Float64Array(width * height);
  const imaginary = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let k = 0; k < width; k++) {
      let [re, im] = [0, 0];
      for (let x = 0, turn = 0; x < width; x++, turn = (turn + k) % width) {
        re += values[y * width + x]! * across.cos[turn]!;
        im -= values[y * width + x]! * across.sin[turn]!;
      }
      real[y * width + k] = re;
      imaginary[y * width + k] = im;
    }
  }
  const power = new Float64Array(width * height);
  for (let l = 0; l < height; l++) {
    for (let k = 0; k < width; k++) {
      let [re, im] = [0, 0];
      for (let y = 0, turn = 0; y < height; y++, turn = (turn + l) % height) {
        const [a, b] = [real[y * width + k]!, imaginary[y * width + k]!];
        re += a * down.cos[turn]! + b * down.sin[turn]!;
        im += b * down.cos[turn]! - a * down.sin[turn]!;
      }
      power[l * width + k] = re * re + im * im;
    }
  }
  return power;
}

/** The inverse transform of a spectrum that is even, up to a factor: its real part is all there is. */
function cosineTransform(power: Float64Array, width: number, height: number): Float64Array {
  const [across, down] = [turns(width), turns(height)];
  const real = new Float64Array(width * height);
  const imaginary = new Float64Array(width * height);
  for (let l = 0; l < height; l++) {
    for (let x = 0; x < width; x++) {
      let [re, im] = [0, 0];
      for (let k = 0, turn = 0; k < width; k++, turn = (turn + x) % width) {
        re += power[l * width + k]! * across.cos[turn]!;
        im += power[l * width + k]! * across.sin[turn]!;
      }
      real[l * width + x] = re;
      imaginary[l * width + x] = im;
    }
  }
  const out = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let total = 0;
      for (let l = 0, turn = 0; l < height; l++, turn = (turn + y) % height) {
        total += real[l * width + x]! * down.cos[turn]! - imaginary[l * width + x]! * down.sin[turn]!;
      }
      out[y * width + x] = total;
    }
  }
  return out;
}

export function noiseAnomaly(frame: Uint8Array, width: number, height: number): number {
  const weights = gaussian(3, 2);
  const smooth = separable(frame, width, height, weights, weights);
  const noise = smooth.map((value, i) => frame[i]! - value);
  const spread = variance(noise);
  const centre = mean(noise);
  const kurtosis = spread > 0 ? mean(noise.map((value) => (value - centre) ** 4)) / spread ** 2 - 3 : 0;
  const [blockWidth, blockHeight] = [Math.floor(width / 4), Math.floor(height / 4)];
  const deviations: number[] = [];
  for (let block = 0; block < 16; block++) {
    const [left, top] = [(block % 4) * blockWidth, Math.floor(block / 4) * blockHeight];
    const values: number[] = [];
    for (let y = top; y < top + blockHeight; y++) {
      for (let x = left; x < left + blockWidth; x++) values.push(noise[y * width + x]!);
    }
    if (values.length > 0) deviations.push(Math.sqrt(variance(values)));
  }
  const unevenness = deviations.length > 0 ? Math.sqrt(variance(deviations)) / (mean(deviations) + 1e-6) : 0;
  return 0.5 * Math.min(1, Math.abs(kurtosis) / 5) + 0.5 * Math.min(1, unevenness / 2);
}
