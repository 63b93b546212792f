/** The denoising loop that all families share: predict, guide, step. Latents live on the CPU between steps. */

import type { StepInfo } from "@lvsa/core";
import { type Device, type Tensor, throwIfAborted } from "@lvsa/runtime";
import type { PassControl } from "../models/transformers/run-blocks.js";
import type { Scheduler } from "../schedulers/index.js";
import type { Branch } from "../step-cache/decisions.js";
import type { StepCache } from "../step-cache/step-cache.js";
import type { Conditions } from "./conditions.js";
import type { Guidance } from "./guidance.js";
import { assertFinite, type NotFiniteDetails } from "./not-finite.js";
import type { ParallelRun } from "./parallel-run.js";
import type { GenerateOptions, HostTensor } from "./video-pipeline.js";
import type { ClipPart, WindowedRun } from "./windows/windowed-run.js";

/** A step's input to the transformer. */
export interface StepInput {
  /** In the layout of the initial latents. */
  readonly latents: HostTensor;
  readonly timestep: number;
  readonly step: StepInfo;
  /** Lets the pass be stopped, and report its blocks. */
  readonly control: PassControl;
}

/** A transformer that is ready to run a step. */
export interface Predictor<Condition> {
  /** The component's name, for messages. */
  readonly name: string;
  /** Storage type of its activations. */
  readonly precision: string;
  /**
   * Runs one pass. Returns a new tensor in the layout of the latents, the caller's; with a `second` condition both
   * predictions, one behind the other.
   */
  forward(input: StepInput, condition: Condition, second?: Condition): Promise<Tensor>;
}

export interface DenoiseRun<Condition> {
  readonly device: Device;
  /** After `setTimesteps`. */
  readonly scheduler: Scheduler;
  readonly initial: HostTensor;
  readonly guidance: Guidance;
  /** What the whole clip is conditioned on, or the windows that have conditions of their own. */
  readonly clip: Pick<Conditions<Condition>, "positive" | "negative"> | WindowedRun<Condition>;
  /** The transformer of a step, loaded. */
  readonly predictor: (index: number) => Promise<Predictor<Condition>>;
  /** Changes with every clip. */
  readonly generation: number;
  /** What steps may be had without running the model. */
  readonly stepCache?: StepCache | undefined;
  /** Both predictions of a guided step in one pass; not with `stepCache` or `parallel`. Default false. */
  readonly guidanceBatch?: boolean | undefined;
  /** Other ranks that run the same steps. */
  readonly parallel?: ParallelRun | undefined;
  /** For schedulers that add noise: one tensor, shaped as the latents. */
  readonly drawNoise?: () => Float32Array;
  /** Steps done before: `initial` are the latents after them. Default 0. */
  readonly firstStep?: number;
  /** Hears the latents after every step, which waits for it. */
  readonly afterStep?: (done: number, latents: HostTensor) => Promise<void> | void;
  readonly options?: Pick<GenerateOptions, "signal" | "onStage" | "onStep" | "onTensor">;
}

const WHAT = "the generation";
/** The passes over a part that this device runs in a step. */
const ONE_PASS = { pass: 0, passes: 1 };

/**
 * Runs every step of the scheduler that is to come. Returns the final latents.
 *
 * @throws AbortError, NotFiniteError with the latents before the step
 */
export async function denoise<Condition>(run: DenoiseRun<Condition>): Promise<HostTensor> {
  const { device, scheduler, guidance, stepCache, parallel, options = {} } = run;
  const { shape } = run.initial;
  const count = scheduler.timesteps.length;
  let latents = run.initial.data;
  // What encoding the prompt needed goes before the first block takes its own.
  await device.releaseMemory();
  for (let index = run.firstStep ?? 0; index < count; index++) {
    throwIfAborted(options.signal, WHAT);
    options.onStage?.({ stage: "denoise", done: index, total: count });
    const started = performance.now();
    const timestep = scheduler.timesteps[index]!;
    const predictor = await run.predictor(index);
    const details: NotFiniteDetails = {
      step: index,
      latents: { data: latents, shape },
      precision: predictor.precision,
    };
    stepCache?.begin({
      ...{ index, sigma: noiseLevel(scheduler, index), transformer: predictor.name },
      ...{ width: shape.at(-1)!, height: shape.at(-2)! },
    });
    // What the model sees at once: the clip, or one of its windows.
    const predictPart = async (part: ClipPart<Condition>) => {
      const { positive, negative } = await predictions(part);
      const { shape } = part.latents;
      const told = (name: string, prediction: Float32Array) =>
        options.onTensor?.(`step${index}.${part.name}${name}`, { data: prediction.slice(), shape });
      told("noise_cond", positive);
      if (negative) told("noise_uncond", negative);
      return guidance.combine(positive, negative, { index, timestep });
    };
    const predictions = async (part: ClipPart<Condition>) => {
      const { positive, negative } = part.conditions;
      if (negative === undefined || !guidance.isOnAt(index, count)) {
        return { positive: await predict(part, "positive", positive), negative: undefined };
      }
      switch (parallel?.branch) {
        case "positive":
          return parallel.exchange(await predict(part, "positive", positive));
        case "negative":
          return parallel.exchange(await predict(part, "negative", negative));
        default:
          if (run.guidanceBatch) return predictBoth(part, positive, negative);
          return {
            positive: await predict(part, "positive", positive, { pass: 0, passes: 2 }),
            negative: await predict(part, "negative", negative, { pass: 1, passes: 2 }),
          };
      }
    };
    const predict = async (
      part: ClipPart<Condition>,
      branch: Branch,
      condition: Condition,
      own = ONE_PASS,
    ) => {
      throwIfAborted(options.signal, WHAT);
      const { data } = part.latents;
      const begun = performance.now();
      const known = stepCache?.prediction(branch, data);
      const prediction = known ?? (await compute(part, branch, condition, own));
      stepCache?.finished(branch, data, prediction, (performance.now() - begun) / 1000);
      return prediction;
    };
    const compute = (
      part: ClipPart<Condition>,
      branch: Branch,
      condition: Condition,
      { pass, passes }: typeof ONE_PASS,
    ) => {
      const { sequence } = parallel ?? {};
      const done = { pass: part.index * passes + pass, passes: part.count * passes };
      return forward(part, done, { blockCache: stepCache?.blocks(branch), sequence }, condition);
    };
    const predictBoth = async (part: ClipPart<Condition>, positive: Condition, negative: Condition) => {
      throwIfAborted(options.signal, WHAT);
      const done = { pass: part.index, passes: part.count };
      const both = await forward(part, done, {}, positive, negative);
      const half = both.length / 2;
      return { positive: both.subarray(0, half), negative: both.subarray(half) };
    };
    const forward = async (
      part: ClipPart<Condition>,
      done: typeof ONE_PASS,
      how: Pick<PassControl, "blockCache" | "sequence">,
      ...conditions: readonly [Condition, Condition?]
    ) => {
      const step = { index, count, generation: run.generation };
      const control = { ...passControl(options, step, done), ...how };
      const input = { latents: part.latents, timestep, step, control };
      using output = await predictor.forward(input, ...conditions);
      const prediction = await device.read(output);
      assertFinite(prediction, predictor.name, "predictions", details);
      return prediction;
    };
    const whole = { data: latents, shape };
    const modelOutput =
      "predict" in run.clip
        ? await run.clip.predict(whole, predictPart)
        : await predictPart({ latents: whole, conditions: run.clip, name: "", index: 0, count: 1 });
    const { sample } = scheduler.step(index, {
      sample: latents,
      modelOutput,
      ...(run.drawNoise ? { drawNoise: run.drawNoise } : {}),
    });
    assertFinite(sample, "scheduler", "latents", details);
    latents = sample;
    options.onTensor?.(`step${index}.latents`, { data: latents.slice(), shape });
    options.onStep?.({
      index,
      count,
      timestep,
      seconds: (performance.now() - started) / 1000,
      memory: device.memory(),
    });
    await run.afterStep?.(index + 1, { data: latents, shape });
  }
  throwIfAborted(options.signal, WHAT);
  return { data: latents, shape };
}

/** Of a flow the level itself; of a diffusion process the share of its timesteps. */
export function noiseLevel({ sigmas, timesteps, numTrainTimesteps }: Scheduler, index: number): number {
  return sigmas[index] ?? timesteps[index]! / numTrainTimesteps;
}

/** Lets one forward pass of a step be stopped, and report its blocks as part of the step. */
function passControl(
  { signal, onStage }: Pick<GenerateOptions, "signal" | "onStage">,
  step: StepInfo,
  { pass, passes }: { readonly pass: number; readonly passes: number },
): PassControl {
  return {
    signal,
    onBlock: (done, count) =>
      onStage?.({
        stage: "denoise",
        done: step.index + (pass + done / count) / passes,
        total: step.count,
      }),
  };
}
