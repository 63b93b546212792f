/** Frame rates as fractions: most containers count time in integers. */

export interface Rational {
  readonly numerator: number;
  readonly denominator: number;
}

/**
 * The fraction nearest to `value` with both parts at most `limit`, by continued fractions: 23.976… is 24000/1001,
 * 12.5 is 25/2. Values above `limit` or below `1 / limit` are clamped to it.
 */
export function toRational(value: number, limit: number): Rational {
  if (value >= limit) return { numerator: limit, denominator: 1 };
  if (value * limit <= 1) return { numerator: 1, denominator: limit };
  let [previousNumerator, numerator] = [0, 1];
  let [previousDenominator, denominator] = [1, 0];
  let rest = value;
  // 64 terms are far more than a double can hold.
  for (let term = 0; term < 64; term++) {
    const whole = Math.floor(rest);
    const nextNumerator = whole * numerator + previousNumerator;
    const nextDenominator = whole * denominator + previousDenominator;
    if (nextNumerator > limit || nextDenominator > limit) break;
    [previousNumerator, numerator] = [numerator, nextNumerator];
    [previousDenominator, denominator] = [denominator, nextDenominator];
    // Stop at what rounding left over, or 24000/1001 would grow a meaningless tail.
    if (Math.abs(numerator / denominator - value) <= 1e-9 * value) break;
    rest = 1 / (rest - whole);
  }
  return { numerator, denominator };
}
