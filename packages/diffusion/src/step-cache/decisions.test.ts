/**
 * Decisions of step caches at settings that no recorded run has, against the published rules worked out from the whole
 * history of a run at each step, where the caches keep sums.
 */
import { seededUniform } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import {
  FirstBlockDecider,
  MagDecider,
  magForced,
  magForcedOfTwo,
  relativeChange,
  TeaDecider,
} from "./decisions.js";
import { EasyCache } from "./easy-cache.js";
import { magRatiosFor } from "./mag-ratios.js";

const STEPS = [1, 2, 3, 10, 37] as const;
const random = seededUniform(23);
const numbers = (count: number, low: number, high: number) =>
  Array.from({ length: count }, () => low + (high - low) * random());
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const steps = (count: number) => Array.from({ length: count }, (_, step) => step);
const HUGE = 1e30;

describe.each(STEPS)("of %i steps, MagCache", (count) => {
  const table = numbers(50, 0.8, 1.1);
  const ratios = steps(count).map((i) => table[count === 1 ? 49 : nearestEven((i * 49) / (count - 1))]!);

  it("takes the ratio of the nearest measured step", () => {
    expect(magRatiosFor(table, count)).toEqual(ratios);
  });

  it.each([0, 0.03, 0.12, 0.7, HUGE])("at the threshold %d", (threshold) => {
    let skipped = 0;
    for (const maxSkipSteps of [0, 1, 2, 100])
      for (const share of [0, 0.2, 0.5, 1])
        for (const branch of ["positive", "negative"] as const)
          for (const isInclusive of [false, true]) {
            const isForced = magForced(branch, count, share);
            const decider = new MagDecider({ ratios, threshold, maxSkipSteps, isInclusive, isForced });
            const calls = Math.floor(2 * count * share);
            /** Steps that were judged since blocks last ran by judgement. */
            let since: number[] = [];
            let ran = false;
            for (const step of steps(count)) {
              const { reuse, value } = decider.next(step, ran);
              if (2 * step + (branch === "positive" ? 0 : 1) < calls) {
                expect({ reuse, value }).toEqual({ reuse: false, value: null });
                ran = true;
                continue;
              }
              since.push(step);
              const products = since.map((_, i) =>
                since.slice(0, i + 1).reduce((product, one) => product * ratios[one]!, 1),
              );
              const error = sum(products.map((product) => Math.abs(1 - product)));
              expect(value).toBeCloseTo(error, 12);
              const isSmall = isInclusive ? error <= threshold : error < threshold;
              const expected = ran && isSmall && since.length <= maxSkipSteps;
              expect(reuse, `step ${step}`).toBe(expected);
              if (reuse) skipped += 1;
              else since = [];
              ran = true;
            }
          }
    if (threshold === 0) expect(skipped).toBe(0);
    // At most 100 in a row, of a run that has fewer.
    if (threshold === HUGE && count > 1) expect(skipped).toBeGreaterThan(count);
  });

  it("with two transformers always runs the first steps of both, or the first one whole", () => {
    for (const second of steps(count).slice(1))
      for (const share of [0, 0.1, 0.25, 1])
        for (const [branch, odd] of [["positive", 0] as const, ["negative", 1] as const]) {
          const [split, all] = [2 * second, 2 * count];
          const text = steps(count).map(magForcedOfTwo(branch, count, second, share, false));
          const image = steps(count).map(magForcedOfTwo(branch, count, second, share, true));
          for (const step of steps(count)) {
            const call = 2 * step + odd;
            const isFirst = call < Math.floor(split * share);
            const isSecond = call >= split && call <= split + (all - split) * share;
            expect(text[step]).toBe(isFirst || isSecond);
            expect(image[step]).toBe(call < Math.floor(split + (all - split) * share));
          }
        }
  });
});

describe.each(STEPS)("of %i steps, TeaCache", (count) => {
  it.each([0, 0.05, 0.3, HUGE])("at the threshold %d", (threshold) => {
    for (const coefficients of [
      [1, 0],
      [3, -2, 0.5, 0.01],
      [-5, 1, 0],
    ])
      for (const [firstSteps, lastSteps] of [
        [1, 1],
        [0, 0],
        [2, 3],
        [100, 0],
      ] as const) {
        const settings = { coefficients, threshold, steps: count, firstSteps, lastSteps };
        const decider = new TeaDecider(settings);
        const changes = numbers(count, 0, 0.2);
        let since: number[] = [];
        for (const step of steps(count)) {
          decider.hear(changes[step]!);
          const { reuse, value } = decider.next(step, step > 0);
          if (step < firstSteps || step >= count - lastSteps) {
            expect({ reuse, value }).toEqual({ reuse: false, value: null });
            since = [];
            continue;
          }
          since.push(changes[step]!);
          const powers = coefficients.length - 1;
          const polynomial = (x: number) => sum(coefficients.map((c, i) => c * x ** (powers - i)));
          const total = sum(since.map(polynomial));
          expect(value).toBeCloseTo(total, 12);
          expect(reuse).toBe(step > 0 && total < threshold);
          if (!reuse) since = [];
        }
      }
  });
});

describe.each(STEPS)("of %i steps, the first-block cache", (count) => {
  it.each([1e-9, 0.1, HUGE])("at the threshold %d", (threshold) => {
    const decider = new FirstBlockDecider(threshold);
    const heads = steps(count).map(() => Float32Array.from(numbers(24, -1, 1)));
    let last: Float32Array | undefined;
    for (const [step, head] of heads.entries()) {
      const known =
        last && sum([...head].map((x, i) => Math.abs(x - last![i]!))) / sum([...last].map(Math.abs));
      decider.hear(last && relativeChange(head, last));
      const { reuse, value } = decider.next(step, last !== undefined);
      if (known === undefined) expect({ reuse, value }).toEqual({ reuse: false, value: null });
      else {
        expect(value).toBeCloseTo(known, 6);
        expect(reuse).toBe(known <= threshold);
      }
      if (!reuse) last = head;
    }
  });
});

describe.each(STEPS)("of %i steps, EasyCache", (count) => {
  const [width, height, planes] = [5, 4, 3];
  const size = width * height * planes;

  it.each([0, 0.02, 0.5, HUGE])("at the threshold %d", (threshold) => {
    for (const subsample of [1, 2, 8])
      for (const [startSigma, endSigma] of [
        [1, 0],
        [0.9, 0.2],
        [0.4, 0.3],
      ] as const) {
        const cache = new EasyCache({ threshold, startSigma, endSigma, subsample });
        const seen = (data: Float32Array) =>
          [...data].filter(
            (_, i) => (i % width) % subsample === 0 && (Math.floor(i / width) % height) % subsample === 0,
          );
        const moved = (a: Float32Array, b: Float32Array) => {
          const other = seen(b);
          return sum(seen(a).map((x, i) => Math.abs(x - other[i]!))) / other.length;
        };
        /** Computed passes that were judged, of either branch. */
        const computed: { latents: Float32Array; output: Float32Array }[] = [];
        let negative: { latents: Float32Array; output: Float32Array } | undefined;
        let since: Float32Array[] = [];
        for (const step of steps(count)) {
          const sigma = 1 - step / count;
          const latents = Float32Array.from(numbers(size, -1, 1));
          const outputs = { positive: numbers(size, -1, 1), negative: numbers(size, -1, 1) };
          const isJudged = sigma <= startSigma && sigma > endSigma;
          const last = computed.at(-1);
          const before = computed.at(-2);
          cache.beginStep();
          const positive = cache.decide("positive", latents, width, height, sigma);
          let expected = false;
          if (!isJudged || !last || !before) expect(positive).toEqual({ reuse: false, value: null });
          else {
            since.push(latents);
            const rate = moved(last.output, before.output) / moved(last.latents, before.latents);
            const magnitude = sum([...last.output].map(Math.abs)) / size;
            const total = sum(since.map((one) => (rate * moved(one, last.latents)) / magnitude));
            // Changes and magnitudes are kept in float32.
            expect(Math.abs(positive.value! - total)).toBeLessThanOrEqual(1e-5 * Math.max(total, 1));
            expected = total < threshold;
            expect(positive.reuse).toBe(expected);
            if (!expected) since = [];
          }
          const run = (values: readonly number[]) => ({ latents, output: Float32Array.from(values) });
          if (expected) {
            const was = cache.reused("positive", latents);
            const want = latents.map((x, i) => x + (last!.output[i]! - last!.latents[i]!));
            for (const [i, value] of want.entries()) expect(was[i]).toBeCloseTo(value, 5);
          } else if (isJudged) {
            computed.push(run(outputs.positive));
            cache.computed("positive", latents, computed.at(-1)!.output, width, height, sigma);
          }
          const other = cache.decide("negative", latents, width, height, sigma);
          expect(other).toEqual({ reuse: expected && negative !== undefined, value: null });
          if (!other.reuse && isJudged) {
            negative = run(outputs.negative);
            cache.computed("negative", latents, negative.output, width, height, sigma);
          }
        }
      }
  });
});

/** As numpy rounds. */
function nearestEven(x: number): number {
  const [below, above] = [Math.floor(x), Math.ceil(x)];
  if (x - below === above - x) return below % 2 === 0 ? below : above;
  return x - below < above - x ? below : above;
}
