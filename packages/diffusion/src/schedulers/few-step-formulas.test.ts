/**
 * Few-step samplers with settings that no recorded run has, against the published formulas in plain float64: shift
 * `s σ / (1 + (s − 1) σ)`; Euler `x + (σ' − σ) v`; clean sample `x − σ v`, renoised `(1 − σ') x0 + σ' ε`.
 */
import { maxAbsolute, relativeL2, seededUniform } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { createScheduler } from "./create-scheduler.js";
import type { Scheduler } from "./scheduler.js";

const SHIFTS = [1, 3, 5, 8, 17] as const;
const LISTS: readonly (readonly number[])[] = [
  [1000],
  [1000, 500],
  [1000, 750, 500, 250],
  [999, 933, 700, 421, 60],
  [1000, 875, 750, 625, 500, 375, 250, 125],
];
const shifted = (sigma: number, shift: number) => (shift * sigma) / (1 + (shift - 1) * sigma);
const random = seededUniform(5);
const uniform = (count: number) => Float32Array.from({ length: count }, () => 4 * random() - 2);

/** Levels are float32: half a unit in the last place of 1, and a rounding of each operation. */
const LEVEL = 5e-7;
/** Some roundings of latents to float32 in each step. */
const LATENTS = 2e-6;

function expectLevels({ sigmas, timesteps }: Scheduler, levels: readonly number[], heard = levels): void {
  expect(sigmas).toHaveLength(levels.length + 1);
  expect(sigmas.at(-1)).toBe(0);
  expect(maxAbsolute(sigmas.slice(0, -1), levels)).toBeLessThanOrEqual(LEVEL);
  expect(
    maxAbsolute(
      timesteps,
      heard.map((level) => 1000 * level),
    ),
  ).toBeLessThanOrEqual(1000 * LEVEL);
}

/** A whole run of a function in place of the model, in float64 by the formula and by the scheduler. */
function expectRun(scheduler: Scheduler, levels: readonly number[], isRenoised: boolean): void {
  const noise = levels.map(() => uniform(64));
  let sample: Float32Array = uniform(64).map((value) => value * scheduler.initNoiseSigma);
  let exact = [...sample];
  for (const [i, level] of levels.entries()) {
    const next = levels[i + 1] ?? 0;
    const velocity = (x: number) => 0.8 * Math.sin(1.3 * x + i) + 0.2 * x;
    exact = exact.map((x, at) =>
      isRenoised
        ? (1 - next) * (x - level * velocity(x)) + next * noise[i]![at]!
        : x + (next - level) * velocity(x),
    );
    const modelOutput = sample.map(velocity);
    sample = scheduler.step(i, { sample, modelOutput, drawNoise: () => noise[i]! }).sample;
    expect(relativeL2(sample, Float32Array.from(exact)), `step ${i}`).toBeLessThanOrEqual(LATENTS);
  }
}

describe.each(SHIFTS)("shift %i", (shift) => {
  it.each(LISTS.map((list) => [list]))("Euler and renoising steps at %j", (list) => {
    const levels = list.map((timestep) => shifted(timestep / 1000, shift));
    for (const name of ["FlowMatchEulerDiscreteScheduler", "FlowMatchLCMScheduler"] as const) {
      const scheduler = createScheduler({ _class_name: name, shift });
      scheduler.setTimesteps(list.length, { sigmas: list.map((timestep) => timestep / 1000) });
      expectLevels(scheduler, levels);
      expectRun(scheduler, levels, name === "FlowMatchLCMScheduler");
    }
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])("%i even steps between the levels of training", (steps) => {
    const [high, low] = [shifted(1, shift), shifted(1 / 1000, shift)];
    const levels = Array.from({ length: steps }, (_, i) =>
      shifted(steps === 1 ? high : high + (i * (low - high)) / (steps - 1), shift),
    );
    for (const name of ["FlowMatchEulerDiscreteScheduler", "FlowMatchLCMScheduler"]) {
      const scheduler = createScheduler({ _class_name: name, shift });
      scheduler.setTimesteps(steps);
      expectLevels(scheduler, levels);
    }
  });

  it.each(LISTS.map((list) => [list]))("DMD at %j, as they are and warped", (list) => {
    const table = Array.from({ length: 1000 }, (_, k) => shifted(1 - k / 1000, shift));
    const nearest = (level: number) => {
      const distances = table.map((one) => Math.abs(one - level));
      return table[distances.indexOf(Math.min(...distances))]!;
    };
    for (const isWarped of [false, true]) {
      const scheduler = createScheduler({
        ...{ _class_name: "DMDScheduler", shift, dmd_denoising_steps: list },
        warp_denoising_step: isWarped,
      });
      scheduler.setTimesteps(list.length);
      const heard = list.map((timestep) => (isWarped ? table[1000 - timestep]! : timestep / 1000));
      const levels = heard.map(nearest);
      expectLevels(scheduler, levels, heard);
      expectRun(scheduler, levels, true);
      // The list may come as levels too.
      scheduler.setTimesteps(list.length, { sigmas: list.map((timestep) => timestep / 1000) });
      expectLevels(scheduler, levels, heard);
    }
  });
});

describe.each([0.5, 1, 10, 80, 160, 1600])("rCM from %d times as much noise as signal", (sigmaMax) => {
  it.each([[[1.5, 1.4, 1.0]], [[]], [[1.3]], [[1.55, 1.5, 1.45, 1.2, 0.9, 0.6, 0.1]]])(
    "and the angles %j",
    (angles: number[]) => {
      for (let steps = 1; steps <= angles.length + 1; steps++) {
        const scheduler = createScheduler({
          _class_name: "RCMScheduler",
          sigma_max: sigmaMax,
          mid_t: angles,
        });
        scheduler.setTimesteps(steps);
        // tan(angle) is noise divided by signal: the level is its share.
        const levels = [sigmaMax, ...angles.map(Math.tan)]
          .slice(0, steps)
          .map((ratio) => ratio / (1 + ratio));
        expectLevels(scheduler, levels);
        expect(scheduler.initNoiseSigma).toBeCloseTo(levels[0]!, 12);
        expectRun(scheduler, levels, true);
      }
    },
  );
});
