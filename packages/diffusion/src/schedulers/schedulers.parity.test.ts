/**
 * Schedulers against diffusers: timesteps, sigmas, scripted runs, and the latents of every denoising loop
 * when the stored predictions are fed in.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  floatTensor,
  type GoldenTensors,
  maxAbsolute,
  referenceCases,
  relativeL2,
} from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import {
  hasExpected,
  type OpenedCase,
  openCase,
  readJson,
  row,
  values,
} from "../testing-support/reference-case.js";
import { createScheduler } from "./create-scheduler.js";
import type { CogVideoXDDIMScheduler } from "./ddim-cogvideox.js";
import { cosmos3NativeSigmas, dynamicGuidanceScale, hunyuanVideo15Sigmas } from "./family-schedules.js";
import type { Scheduler } from "./scheduler.js";

// float32 rounding of the reference itself is about 1e-7 per operation; the data states 1e-5 for steps.
const STEP_TOLERANCE = 1e-5;
const SIGMA_TOLERANCE = 1e-6;
const ALPHA_TOLERANCE = 1e-6;

const configOf = ({ checkpoint }: OpenedCase) =>
  readJson(join(checkpoint, "scheduler", "scheduler_config.json"));

/** Names like `<prefix>.n<count>.timesteps`, as pairs. */
function counts(tensors: GoldenTensors, pattern: RegExp): [string, RegExpMatchArray][] {
  return Object.keys(tensors).flatMap((name) => {
    const match = name.match(pattern);
    return match ? [[name, match] as [string, RegExpMatchArray]] : [];
  });
}

function expectSchedule(scheduler: Scheduler, tensors: GoldenTensors, prefix: string): void {
  expect(scheduler.timesteps.map(Math.fround), `${prefix} timesteps`).toEqual(
    values(tensors, `${prefix}.timesteps`),
  );
  const sigmas = `${prefix}.sigmas`;
  if (tensors[sigmas])
    expect(maxAbsolute(scheduler.sigmas, values(tensors, sigmas)), sigmas).toBeLessThanOrEqual(
      SIGMA_TOLERANCE,
    );
}

interface Run {
  readonly scheduler: Scheduler;
  readonly steps: number;
  readonly initial: Float32Array;
  readonly modelOutput: (step: number) => Float32Array;
  readonly latents: (step: number) => Float32Array;
  /** The noise that the step uses, and how many draws it is the last of. */
  readonly noise?: (step: number) => Float32Array | undefined;
  readonly draws?: (step: number) => number | undefined;
  readonly x0?: (step: number) => Float32Array | undefined;
}

/** Runs the whole chain and returns the worst relative error. */
function replay(run: Run): number {
  let sample = run.initial;
  let worst = 0;
  for (let i = 0; i < run.steps; i++) {
    let drawn = 0;
    const noise = run.noise?.(i);
    const draws = run.draws?.(i) ?? run.scheduler.plan(i).noiseDraws;
    const result = run.scheduler.step(i, {
      sample,
      modelOutput: run.modelOutput(i),
      // Any draw but the last one must not be used.
      drawNoise: () =>
        ++drawn === draws && noise ? noise : new Float32Array(sample.length).fill(Number.NaN),
    });
    if (run.draws) expect(drawn, `draws of step ${i}`).toBe(draws);
    const x0 = run.x0?.(i);
    if (x0) worst = Math.max(worst, relativeL2(result.x0, x0));
    worst = Math.max(worst, relativeL2(result.sample, run.latents(i)));
    sample = result.sample;
  }
  return worst;
}

function guided(positive: Float32Array, negative: Float32Array, scale: number): Float32Array {
  return positive.map((value, i) => negative[i]! + scale * (value - negative[i]!));
}

/** The steps `prefix.step{i}` of a denoising loop. */
function loopOf(opened: OpenedCase, scheduler: Scheduler, prefix: string): Run {
  const { tensors, parameters } = opened;
  const tensor = (name: string) => floatTensor(tensors, `${prefix}${name}`).data;
  const scales = tensors[`${prefix}guidance`] ? values(tensors, `${prefix}guidance`) : undefined;
  const draws = parameters.noise_draws_per_step as number[] | undefined;
  return {
    scheduler,
    steps: scheduler.timesteps.length,
    initial: tensor("init_latents"),
    modelOutput: (i) =>
      guided(
        tensor(`step${i}.pred_positive`),
        tensor(`step${i}.pred_negative`),
        scales?.[i] ?? Number(parameters.guidance_scale),
      ),
    latents: (i) => tensor(`step${i}.latents`),
    noise: (i) => tensors[`${prefix}step${i}.noise`] && tensor(`step${i}.noise`),
    ...(draws && { draws: (i: number) => draws[i] }),
  };
}

/** Prefixes of the denoising loops in a case: "" or "dense." and "lvsa.". */
function loopPrefixes(tensors: GoldenTensors): string[] {
  return counts(tensors, /^(.*)step0\.pred_positive$/)
    .map(([, match]) => match[1]!)
    .filter((prefix) => tensors[`${prefix}timesteps`] && tensors[`${prefix}init_latents`]);
}

/** A run of `<prefix>.init`, `.model_output{i}`, `.latents{i}`, and for CogVideoX noise and x0. */
function scripted(opened: OpenedCase, scheduler: Scheduler, prefix: string): Run {
  const { tensors, parameters } = opened;
  const find = (name: string) => (tensors[name] ? floatTensor(tensors, name).data : undefined);
  const draws = parameters.draws as Record<string, number> | undefined;
  return {
    scheduler,
    steps: scheduler.timesteps.length,
    initial: floatTensor(tensors, `${prefix}.init`).data,
    modelOutput: (i) => floatTensor(tensors, `${prefix}.model_output${i}`).data,
    latents: (i) => floatTensor(tensors, `${prefix}.latents${i}`).data,
    noise: (i) => find(`${prefix}.noise${i}`),
    x0: (i) => find(`${prefix}.pred_x0_${i}`),
    ...(draws && { draws: (i: number) => draws[`${prefix}.draws${i}`] }),
  };
}

/** The cases whose checkpoint has a scheduler. */
function familyCases(family: string) {
  const found = referenceCases(family).filter((reference) => {
    if (!hasExpected(reference)) return false;
    const { checkpoint } = readJson(join(reference.directory, "case.json"));
    return existsSync(join(reference.directory, String(checkpoint ?? "checkpoint"), "scheduler"));
  });
  if (found.length === 0) console.warn(`no ${family} scheduler data: set LVSA_REFERENCE_DIR`);
  return found;
}

function check(label: string, error: number): void {
  console.log(`${label}: rel l2 ${error.toExponential(1)}`);
  expect(error, label).toBeLessThanOrEqual(STEP_TOLERANCE);
}

const wanCases = familyCases("wan");
describe.skipIf(wanCases.length === 0)("Wan", () => {
  for (const reference of wanCases) {
    it(reference.name, async () => {
      expect.hasAssertions();
      const opened = await openCase(reference);
      const { tensors, parameters } = opened;
      const config = configOf(opened);
      for (const [, match] of counts(tensors, /^(sched\.n(\d+))\.timesteps$/)) {
        const scheduler = createScheduler(config);
        scheduler.setTimesteps(Number(match[2]));
        expectSchedule(scheduler, tensors, match[1]!);
      }
      for (const [, match] of counts(tensors, /^(sched\..*)\.model_outputs$/)) {
        const prefix = match[1]!;
        const scheduler = createScheduler(config);
        scheduler.setTimesteps(values(tensors, `${prefix}.timesteps`).length);
        expectSchedule(scheduler, tensors, prefix);
        const error = replay({
          scheduler,
          steps: scheduler.timesteps.length,
          initial: floatTensor(tensors, `${prefix}.initial`).data,
          modelOutput: (i) => row(tensors, `${prefix}.model_outputs`, i),
          latents: (i) => row(tensors, `${prefix}.latents`, i),
        });
        check(`wan/${reference.name} ${prefix}`, error);
      }
      for (const [, match] of counts(tensors, /^((?:loop|i2v).*)\.timesteps$/)) {
        const prefix = match[1]!;
        const loop = parameters.loop as { guidance_scale: number; guidance_scale_2?: number };
        // A second model takes over below the noise boundary, with a scale of its own.
        const used = tensors[`${prefix}.model_used`] ? values(tensors, `${prefix}.model_used`) : [];
        const second =
          prefix === "loop_same_guidance"
            ? loop.guidance_scale
            : (loop.guidance_scale_2 ?? loop.guidance_scale);
        const scheduler = createScheduler(config);
        scheduler.setTimesteps(values(tensors, `${prefix}.timesteps`).length);
        expectSchedule(scheduler, tensors, prefix);
        // Some loops are stored without the negative prediction.
        if (!tensors[`${prefix}.noise_uncond`]) continue;
        const error = replay({
          scheduler,
          steps: scheduler.timesteps.length,
          initial: floatTensor(tensors, tensors[`${prefix}.initial`] ? `${prefix}.initial` : "loop.initial")
            .data,
          modelOutput: (i) =>
            guided(
              row(tensors, `${prefix}.noise_cond`, i),
              row(tensors, `${prefix}.noise_uncond`, i),
              used.some((model) => model !== used[0]) && used[i] !== used[0] ? second : loop.guidance_scale,
            ),
          latents: (i) => row(tensors, `${prefix}.latents`, i),
        });
        check(`wan/${reference.name} ${prefix}`, error);
      }
    });
  }
});

const hunyuanCases = familyCases("hunyuan");
describe.skipIf(hunyuanCases.length === 0)("HunyuanVideo 1.5", () => {
  for (const reference of hunyuanCases) {
    it(reference.name, async () => {
      expect.hasAssertions();
      const opened = await openCase(reference);
      const { tensors } = opened;
      for (const [, match] of counts(tensors, /^(shift([\d.]+)\.n(\d+))\.timesteps$/)) {
        const [, prefix, shift, steps] = match;
        const scheduler = createScheduler(configOf(opened), { shift: Number(shift) });
        scheduler.setTimesteps(Number(steps), { sigmas: hunyuanVideo15Sigmas(Number(steps)) });
        expectSchedule(scheduler, tensors, prefix!);
      }
      for (const [, match] of counts(tensors, /^(run.*)\.init$/)) {
        const steps = counts(tensors, new RegExp(`^${match[1]}\\.latents\\d+$`)).length;
        const scheduler = createScheduler(configOf(opened));
        scheduler.setTimesteps(steps, { sigmas: hunyuanVideo15Sigmas(steps) });
        check(`hunyuan/${reference.name} ${match[1]}`, replay(scripted(opened, scheduler, match[1]!)));
      }
      for (const prefix of loopPrefixes(tensors)) {
        const timesteps = values(tensors, `${prefix}timesteps`);
        const scheduler = createScheduler(configOf(opened));
        scheduler.setTimesteps(timesteps.length, { sigmas: hunyuanVideo15Sigmas(timesteps.length) });
        expect(scheduler.timesteps).toEqual(timesteps);
        check(`hunyuan/${reference.name} ${prefix}loop`, replay(loopOf(opened, scheduler, prefix)));
      }
    });
  }
});

const cogvideoxCases = familyCases("cogvideox");
describe.skipIf(cogvideoxCases.length === 0)("CogVideoX", () => {
  for (const reference of cogvideoxCases) {
    it(reference.name, async () => {
      expect.hasAssertions();
      const opened = await openCase(reference);
      const { tensors, parameters } = opened;
      const create = () => createScheduler(configOf(opened)) as CogVideoXDDIMScheduler;
      if (tensors.alphas_cumprod)
        expect(maxAbsolute(create().alphasCumprod, values(tensors, "alphas_cumprod"))).toBeLessThanOrEqual(
          ALPHA_TOLERANCE,
        );
      for (const [, match] of counts(tensors, /^(n(\d+))\.timesteps$/)) {
        const scheduler = create();
        scheduler.setTimesteps(Number(match[2]));
        expectSchedule(scheduler, tensors, match[1]!);
      }
      for (const [, match] of counts(tensors, /^(run(\d+))\.init$/)) {
        const scheduler = create();
        scheduler.setTimesteps(Number(match[2]));
        check(`cogvideox/${reference.name} ${match[1]}`, replay(scripted(opened, scheduler, match[1]!)));
      }
      for (const prefix of loopPrefixes(tensors)) {
        const timesteps = values(tensors, `${prefix}timesteps`);
        const scheduler = create();
        scheduler.setTimesteps(timesteps.length);
        expect(scheduler.timesteps).toEqual(timesteps);
        const guidance = tensors[`${prefix}guidance`] && values(tensors, `${prefix}guidance`);
        if (guidance?.some((scale) => scale !== guidance[0])) {
          const ours = timesteps.map((t) =>
            dynamicGuidanceScale(Number(parameters.guidance_scale), timesteps.length, t),
          );
          // The stored values are float32.
          expect(maxAbsolute(ours, guidance)).toBeLessThan(1e-6);
        }
        check(`cogvideox/${reference.name} ${prefix}loop`, replay(loopOf(opened, scheduler, prefix)));
      }
      // A loop without its predictions still says when it was.
      if (tensors.timesteps) {
        const timesteps = values(tensors, "timesteps");
        const scheduler = create();
        scheduler.setTimesteps(timesteps.length);
        expect(scheduler.timesteps).toEqual(timesteps);
      }
    });
  }
});

const cosmos3Cases = familyCases("cosmos3");
describe.skipIf(cosmos3Cases.length === 0)("Cosmos 3", () => {
  for (const reference of cosmos3Cases) {
    it(reference.name, async () => {
      expect.hasAssertions();
      const opened = await openCase(reference);
      const { tensors, parameters } = opened;
      const create = (kind: string, steps: number) => {
        const scheduler = createScheduler(
          kind === "native"
            ? { _class_name: "UniPCMultistepScheduler", ...(parameters.native_scheduler as object) }
            : configOf(opened),
        );
        const sigmas = cosmos3NativeSigmas(steps, scheduler.numTrainTimesteps);
        scheduler.setTimesteps(steps, kind === "native" ? { sigmas } : {});
        return scheduler;
      };
      for (const [, match] of counts(tensors, /^((karras|native)\.n(\d+))\.timesteps$/))
        expectSchedule(create(match[2]!, Number(match[3])), tensors, match[1]!);
      for (const [, match] of counts(tensors, /^((karras|native)\.run(\d+))\.init$/)) {
        const run = scripted(opened, create(match[2]!, Number(match[3])), match[1]!);
        check(`cosmos3/${reference.name} ${match[1]}`, replay(run));
      }
      for (const prefix of loopPrefixes(tensors)) {
        const timesteps = values(tensors, `${prefix}timesteps`);
        const scheduler = create("karras", timesteps.length);
        expect(scheduler.timesteps).toEqual(timesteps);
        check(`cosmos3/${reference.name} ${prefix}loop`, replay(loopOf(opened, scheduler, prefix)));
      }
    });
  }
});
