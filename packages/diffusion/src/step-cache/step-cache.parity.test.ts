/** Step caches against recorded runs of the published code: every decision, its value, and what the model predicts. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Device, DIFFUSERS_WEIGHTS, openWeights, type Tensor } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import {
  floatTensor,
  isForeignReference,
  referenceCases,
  requireCases,
  testDevice,
} from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WanTransformer3DModel } from "../models/transformers/transformer-wan.js";
import { denoise, type StepInput } from "../pipelines/denoise.js";
import { scaledGuidance } from "../pipelines/guidance.js";
import type { HostTensor } from "../pipelines/host-tensor.js";
import type { Scheduler } from "../schedulers/index.js";
import { ParityReport, type Tolerance } from "../testing-support/parity.js";
import {
  hasExpected,
  type OpenedCase,
  openCase,
  readJson,
  row,
  values,
} from "../testing-support/reference-case.js";
import {
  type Branch,
  type Decider,
  FirstBlockDecider,
  MagDecider,
  magForced,
  magForcedOfTwo,
  relativeChange,
  TeaDecider,
} from "./decisions.js";
import { magRatiosFor, publishedMagRatios } from "./mag-ratios.js";
import { StepCache } from "./step-cache.js";

const RUNS = { cond: "positive", uncond: "negative" } as const;

interface Run {
  readonly cache: string;
  readonly computed: Readonly<Record<keyof typeof RUNS, boolean[]>>;
  readonly values: Readonly<Record<keyof typeof RUNS, (number | null)[]>>;
  readonly [setting: string]: unknown;
}
interface Case {
  readonly components: readonly string[];
  readonly steps: number;
  readonly guidance: number;
  readonly switch_step: number | null;
  readonly runs: Readonly<Record<string, Run>>;
  readonly calibrated_ratios?: Readonly<Record<keyof typeof RUNS, number[]>>;
  readonly tolerances: { readonly values: { readonly rel: number }; readonly outputs: Tolerance };
}

const all = referenceCases("step-cache").filter(hasExpected);
const traces = all.filter(({ name }) => name !== "decisions");
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("the reference folder holds step caches", () => {
  requireCases(all, "step caches");
});

function cacheOf(run: Run, steps: number): StepCache {
  const threshold = Number(run.threshold ?? run.reuse_threshold);
  const blocks = (decider: (branch: Branch) => Decider) => StepCache.withDeciders(device, threshold, decider);
  switch (run.cache) {
    case "easycache":
      return StepCache.withEasySettings({
        ...{ threshold, startSigma: Number(run.start_sigma), endSigma: Number(run.end_sigma) },
        subsample: Number(run.subsample),
      });
    case "first-block":
      return blocks(() => new FirstBlockDecider(threshold));
    case "magcache": {
      // diffusers: the first steps by rounding, an error of exactly the threshold is small enough.
      const first = Math.trunc(Number(run.retention_ratio) * steps + 0.5);
      const ratios = run.mag_ratios as number[];
      const maxSkipSteps = Number(run.max_skip_steps);
      return blocks(
        () =>
          new MagDecider({
            ratios,
            threshold,
            maxSkipSteps,
            isInclusive: true,
            isForced: (step) => step < first,
          }),
      );
    }
    case "magcache-interleaved": {
      const ratios = { positive: run.ratios_cond as number[], negative: run.ratios_uncond as number[] };
      return blocks(
        (branch) =>
          new MagDecider({
            ...{ ratios: ratios[branch], threshold, maxSkipSteps: Number(run.K), isInclusive: false },
            isForced: magForced(branch, steps, Number(run.retention_ratio)),
          }),
      );
    }
    case "teacache": {
      const input = String(run.input).includes("temb") ? "temb" : "timeProj";
      const settings = {
        ...{ coefficients: run.coefficients as number[], threshold, steps },
        ...{ firstSteps: Number(run.always_first_steps), lastSteps: Number(run.always_last_steps) },
      };
      return StepCache.withDeciders(device, threshold, () => new TeaDecider(settings), input);
    }
    default:
      throw new Error(`no cache ${run.cache}`);
  }
}

/** The loop of the recorded runs: Euler steps with the stored levels and timesteps. */
function loopScheduler({ tensors }: OpenedCase): Scheduler {
  const sigmas = values(tensors, "sigmas");
  const timesteps = values(tensors, "timesteps");
  const step: Scheduler["step"] = (i, { sample, modelOutput }) => {
    const change = sigmas[i + 1]! - sigmas[i]!;
    const next = sample.map((value, at) => value + change * modelOutput[at]!);
    return { sample: Float32Array.from(next), x0: Float32Array.from(next), history: { x0: [] } };
  };
  return { sigmas, timesteps, numTrainTimesteps: 1000, step } as unknown as Scheduler;
}

async function openModels({ checkpoint, parameters }: OpenedCase): Promise<WanTransformer3DModel[]> {
  const { components } = parameters as unknown as Case;
  return Promise.all(
    components.map(async (component) => {
      const folder = join(checkpoint, component);
      const model = new WanTransformer3DModel(device, readJson(join(folder, "config.json")), {
        name: component,
      });
      const source = await openWeights(nodeFolder(folder), DIFFUSERS_WEIGHTS);
      await model.load(source);
      await source.close();
      return model;
    }),
  );
}

interface Loop {
  readonly seen: ReadonlyMap<string, HostTensor>;
  readonly blocks: number;
}

async function runLoop(
  opened: OpenedCase,
  models: readonly WanTransformer3DModel[],
  stepCache: StepCache | undefined,
  options: {
    firstStep?: number;
    latents?: HostTensor;
    afterStep?: (step: number, latents: HostTensor) => Promise<void>;
  } = {},
): Promise<Loop> {
  const { tensors, parameters } = opened;
  const { guidance, switch_step } = parameters as unknown as Case;
  const upload = (name: string) => {
    const { data, shape } = floatTensor(tensors, name);
    return device.upload(data, shape);
  };
  const seen = new Map<string, HostTensor>();
  let blocks = 0;
  using positive = upload("text.cond");
  using negative = upload("text.uncond");
  const initial = floatTensor(tensors, "initial");
  await denoise<Tensor>({
    ...{ device, clip: { positive, negative }, generation: 1, stepCache },
    scheduler: loopScheduler(opened),
    initial: options.latents ?? { data: initial.data, shape: initial.shape },
    ...(options.firstStep === undefined ? {} : { firstStep: options.firstStep }),
    ...(options.afterStep ? { afterStep: options.afterStep } : {}),
    guidance: scaledGuidance(true, () => guidance),
    predictor: async (index) => {
      const isSecond = switch_step !== null && index >= switch_step;
      const model = models[isSecond ? 1 : 0]!;
      return {
        ...{ name: isSecond ? "transformer_2" : "transformer", precision: "f32" },
        forward: async ({ latents, timestep, step, control }: StepInput, text: Tensor) => {
          using input = device.upload(latents.data, latents.shape);
          const tap = (name: string) => {
            if (/^block\d+$/.test(name)) blocks += 1;
          };
          return model.forward({
            ...control,
            latents: input,
            timestep,
            step,
            encoderHiddenStates: text,
            tap,
          });
        },
      };
    },
    options: { onTensor: (name, tensor) => seen.set(name, tensor) },
  });
  return { seen, blocks };
}

describe.each(traces)("$name", (reference) => {
  test("decisions, values and predictions are those of the published code", async (context) => {
    const opened = await openCase(reference);
    if (isForeignReference() && !existsSync(opened.checkpoint)) context.skip(`no ${opened.checkpoint}`);
    const { runs, steps, tolerances } = opened.parameters as unknown as Case;
    const report = new ParityReport(`step-cache/${reference.name}`, opened.tensors);
    const before = device.memory().liveBytes;
    const models = await openModels(opened);
    const layers = models[0]!.config.num_layers;
    for (const [name, run] of Object.entries(runs)) {
      const cache = cacheOf(run, steps);
      const { seen, blocks } = await runLoop(opened, models, cache);
      let expectedBlocks = 0;
      for (const [suffix, branch] of Object.entries(RUNS) as [keyof typeof RUNS, Branch][]) {
        const trace = cache.trace.filter((pass) => pass.branch === branch);
        expect(trace.map(({ step }) => step)).toEqual(Array.from({ length: steps }, (_, i) => i));
        expect(
          trace.map(({ reuse }) => !reuse),
          `${name} ${suffix}`,
        ).toEqual(run.computed[suffix]);
        for (const [i, value] of run.values[suffix].entries()) {
          const ours = trace[i]!.value;
          if (value === null) expect(ours, `${name} ${suffix} ${i}`).toBeNull();
          else expect(Math.abs(ours! - value) / value).toBeLessThanOrEqual(tolerances.values.rel);
          report.compare(
            `${name} ${suffix} ${i}`,
            seen.get(`step${i}.noise_${suffix}`)!.data,
            row(opened.tensors, `${name}.${suffix}`, i),
            tolerances.outputs,
            `${name}.${suffix}`,
          );
          const lead = run.cache === "first-block" ? 1 : 0;
          expectedBlocks += run.computed[suffix][i] ? layers : lead;
        }
      }
      // What is not computed is not run.
      expect(blocks, `${name} blocks`).toBe(expectedBlocks);
      for (let i = 0; i < steps; i++) {
        const latents = row(opened.tensors, `${name}.latents`, i);
        report.compare(
          `${name} latents ${i}`,
          seen.get(`step${i}.latents`)!.data,
          latents,
          tolerances.outputs,
          name,
        );
      }
      cache[Symbol.dispose]();
    }
    for (const model of models) model.dispose();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });

  test("a run that is resumed from its state decides and predicts the same", async (context) => {
    const opened = await openCase(reference);
    if (isForeignReference() && !existsSync(opened.checkpoint)) context.skip(`no ${opened.checkpoint}`);
    const { runs, steps } = opened.parameters as unknown as Case;
    const models = await openModels(opened);
    const [, run] = Object.entries(runs).at(-1)!;
    const cache = cacheOf(run, steps);
    const states: { latents: HostTensor; state: ReturnType<StepCache["state"]> }[] = [];
    const whole = await runLoop(opened, models, cache, {
      afterStep: async (_step, latents) => {
        await cache.prepareState();
        const state = cache.state();
        expect(state).toEqual({ values: JSON.parse(JSON.stringify(state.values)), tensors: state.tensors });
        states.push({ latents, state });
      },
    });
    for (const firstStep of [3, steps - 3]) {
      const resumed = cacheOf(run, steps);
      const { latents, state } = states[firstStep - 1]!;
      resumed.restore(state);
      const rest = await runLoop(opened, models, resumed, { firstStep, latents });
      expect(resumed.trace).toEqual(cache.trace.filter(({ step }) => step >= firstStep));
      for (const [name, tensor] of rest.seen) expect(tensor.data, name).toEqual(whole.seen.get(name)!.data);
      resumed[Symbol.dispose]();
    }
    cache[Symbol.dispose]();
    for (const model of models) model.dispose();
  });
});

describe.each(traces.filter(({ name }) => name === "wan-magcache"))("$name", (reference) => {
  test("measures the ratios of the run without a cache", async (context) => {
    const opened = await openCase(reference);
    if (isForeignReference() && !existsSync(opened.checkpoint)) context.skip(`no ${opened.checkpoint}`);
    const { calibrated_ratios, tolerances } = opened.parameters as unknown as Case;
    const models = await openModels(opened);
    using cache = StepCache.calibration(device);
    await runLoop(opened, models, cache);
    const ratios = cache.report.magRatios!;
    for (const [suffix, branch] of Object.entries(RUNS) as [keyof typeof RUNS, Branch][]) {
      const golden = calibrated_ratios![suffix];
      expect(ratios[branch]).toHaveLength(golden.length);
      for (const [i, value] of golden.entries()) {
        expect(Math.abs(ratios[branch]![i]! - value) / value).toBeLessThanOrEqual(tolerances.values.rel);
      }
    }
    for (const model of models) model.dispose();
  });
});

describe.each(all.filter(({ name }) => name === "decisions"))("$name", (reference) => {
  interface Mag {
    readonly table: string;
    readonly steps: number;
    readonly split_step?: number;
    readonly mode?: string;
    readonly threshold: number;
    readonly K: number;
    readonly retention_ratio: number;
    readonly computed_cond: string;
    readonly computed_uncond: string;
  }
  /** Tables of models that we run, by the place where they are published. */
  const TABLES = {
    "MagCache4Wan2.1/magcache_generate.py:910": "wan21-t2v-1.3b",
    "MagCache4Wan2.1/magcache_generate.py:912": "wan21-t2v-14b",
    "MagCache4Wan2.1/magcache_generate.py:1002": "wan21-i2v-480p",
    "MagCache4Wan2.1/magcache_generate.py:1004": "wan21-i2v-720p",
    "MagCache4Wan2.2/magcache_generate.py:695": "wan22-t2v-a14b",
    "MagCache4Wan2.2/magcache_generate.py:736": "wan22-ti2v-5b-t2v",
    "MagCache4Wan2.2/magcache_generate.py:738": "wan22-ti2v-5b-i2v",
    "MagCache4Wan2.2/magcache_generate.py:771": "wan22-i2v-a14b",
  } as const;
  const bits = (decider: Decider, steps: number) =>
    Array.from({ length: steps }, (_, step) => (decider.next(step, true).reuse ? "0" : "1")).join("");

  test("MagCache's published tables skip the published steps", async () => {
    const { parameters } = await openCase(reference);
    let compared = 0;
    for (const one of [...(parameters.magcache as Mag[]), ...(parameters.magcache_two_experts as Mag[])]) {
      const table = TABLES[one.table as keyof typeof TABLES];
      if (!table) continue;
      const ratios = publishedMagRatios(table);
      for (const [branch, golden] of [
        ["positive", one.computed_cond],
        ["negative", one.computed_uncond],
      ] as const) {
        const { steps, split_step: split, retention_ratio: share } = one;
        const decider = new MagDecider({
          ratios: magRatiosFor(ratios[branch]!, steps),
          ...{ threshold: one.threshold, maxSkipSteps: one.K, isInclusive: false },
          isForced:
            split === undefined
              ? magForced(branch, steps, share)
              : magForcedOfTwo(branch, steps, split, share, one.mode === "i2v"),
        });
        expect(bits(decider, steps), `${one.table} ${steps} ${one.threshold} ${branch}`).toBe(golden);
        compared += 1;
      }
    }
    console.log(`step-cache/decisions: ${compared} series of MagCache`);
    expect(compared).toBeGreaterThan(0);
  });

  test("TeaCache's polynomials skip the published steps", async () => {
    const { parameters, tensors } = await openCase(reference);
    const tolerance = (parameters.tolerances as { accumulated: { rel: number } }).accumulated.rel;
    const { data, shape } = floatTensor(tensors, "tea.inputs");
    const [, steps, width] = shape as [number, number, number];
    for (const one of parameters.teacache as Record<string, unknown>[]) {
      for (const [at, suffix] of ["cond", "uncond"].entries()) {
        const decider = new TeaDecider({
          ...{ coefficients: one.coefficients as number[], threshold: Number(one.threshold), steps },
          ...{ firstSteps: Number(one.always_first_steps), lastSteps: Number(one.always_last_steps) },
        });
        const input = (step: number) =>
          data.slice((at * steps + step) * width, (at * steps + step + 1) * width);
        const sums = one[`accumulated_${suffix}`] as number[];
        for (let step = 0; step < steps; step++) {
          if (step > 0) decider.hear(relativeChange(input(step), input(step - 1)));
          const { reuse } = decider.next(step, true);
          expect(reuse ? "0" : "1", `${one.name} ${suffix} ${step}`).toBe(
            String(one[`computed_${suffix}`])[step],
          );
          // What is left after the decision.
          const sum = Number(decider.state().sum);
          const error = Math.abs(sum - sums[step]!) / Math.max(sums[step]!, Number.MIN_VALUE);
          if (sums[step] === 0) expect(sum).toBe(0);
          else expect(error, `${one.name} ${suffix} ${step}`).toBeLessThanOrEqual(tolerance);
        }
      }
    }
  });
});
