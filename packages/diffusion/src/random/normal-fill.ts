/**
 * Box-Muller over blocks of 16 uniform numbers, as `torch.randn` does it on the CPU: in each block the first
 * eight are radii and the last eight are angles. PyTorch's x86 kernel evaluates log, sin and cos with the
 * single-precision polynomials of the Cephes library (S. Moshier) and fused multiply-adds; doing the same
 * makes the numbers equal to the last bit. A product of two float32 values is exact in float64, so
 * `fround(a * b + c)` is a fused multiply-add but for a double rounding once in about 2^29 operations.
 * The `+ 0` at the end is PyTorch's mean: it turns a minus zero into zero.
 */

const fround = Math.fround;

const LOG_COEFFICIENTS = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
].map(fround);
/** ln 2 in two parts, so that `exponent * LN2_HIGH` is exact. */
const LN2_HIGH = 0.693359375;
const LN2_LOW = fround(-2.1219444e-4);
const SQRT_HALF = fround(Math.SQRT1_2);

const SIN_COEFFICIENTS = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1].map(fround);
const COS_COEFFICIENTS = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2].map(fround);
const FOUR_OVER_PI = fround(4 / Math.PI);
/** -pi/4 in three parts (Cody and Waite). */
const QUARTER_PI_PARTS = [-0.78515625, -2.418756484985352e-4, -3.774894977445941e-8].map(fround);

function horner(coefficients: readonly number[], x: number): number {
  let y = coefficients[0]!;
  for (let i = 1; i < coefficients.length; i++) y = fround(y * x + coefficients[i]!);
  return y;
}

/** ln(x) for x in (0, 1] that is a multiple of 2^-24, as 1 minus a uniform number is. */
function logFloat32(value: number): number {
  let exponent = 8 - Math.clz32(value * 2 ** 24);
  let x = value * 2 ** -exponent;
  if (x < SQRT_HALF) {
    exponent -= 1;
    x = fround(fround(x - 1) + x);
  } else {
    x = fround(x - 1);
  }
  const z = fround(x * x);
  let y = fround(fround(horner(LOG_COEFFICIENTS, x) * x) * z + fround(exponent * LN2_LOW));
  y = fround(y - z * 0.5);
  return fround(exponent * LN2_HIGH + fround(x + y));
}

/** Replaces 8 + 8 uniform numbers in [0, 1) at `offset` by 16 standard normal ones. */
export function boxMullerFloat32(data: Float32Array, offset: number): void {
  for (let i = offset; i < offset + 8; i++) {
    const radius = fround(Math.sqrt(fround(-2 * logFloat32(1 - data[i]!))));
    const theta = fround(fround(2 * Math.PI) * data[i + 8]!);
    const octant = (Math.trunc(fround(theta * FOUR_OVER_PI)) + 1) & ~1;
    let x = theta;
    for (const part of QUARTER_PI_PARTS) x = fround(octant * part + x);
    const z = fround(x * x);
    const cosine = fround(fround(fround(horner(COS_COEFFICIENTS, z) * z) * z - z * 0.5) + 1);
    const sine = fround(fround(horner(SIN_COEFFICIENTS, z) * z) * x + x);
    const swapped = (octant & 2) !== 0;
    const sinTheta = (swapped ? cosine : sine) * (octant & 4 ? -1 : 1);
    const cosTheta = (swapped ? sine : cosine) * ((octant - 2) & 4 ? 1 : -1);
    data[i] = radius * cosTheta + 0;
    data[i + 8] = radius * sinTheta + 0;
  }
}

/** The same for bfloat16 and float16 draws, where PyTorch rounds after every operation. */
export function boxMullerRounded(data: Float32Array, offset: number, round: (x: number) => number): void {
  for (let i = offset; i < offset + 8; i++) {
    const radius = round(Math.sqrt(round(-2 * round(Math.log(round(1 - data[i]!))))));
    const theta = round(2 * Math.PI * data[i + 8]!);
    data[i] = round(radius * round(Math.cos(theta))) + 0;
    data[i + 8] = round(radius * round(Math.sin(theta))) + 0;
  }
}
