/** The denoising loop that all families share: predict, guide, step. Latents live on the CPU between steps. */
import { AbortError, type Device } from "@lvsa/runtime";
import type { PassControl } from "../models/transformers/run-blocks.js";
import type { Scheduler } from "../schedulers/index.js";
import type { GenerateOptions, HostTensor } from "./video-pipeline.js";

export interface DenoiseOptions {
  readonly device: Device;
  readonly scheduler: Scheduler;
  readonly initial: HostTensor;
  readonly options: GenerateOptions;
  /** Model output after guidance, in the layout of the latents. */
  readonly predict: (latents: Float32Array, timestep: number, index: number) => Promise<Float32Array>;
  /** For schedulers that add noise. */
  readonly drawNoise?: () => Float32Array;
}

/** Runs every step of the scheduler (after `setTimesteps`). Returns the final latents. */
export async function denoise(run: DenoiseOptions): Promise<HostTensor> {
  const { device, scheduler, options } = run;
  const count = scheduler.timesteps.length;
  let latents = run.initial.data;
  // What encoding the prompt needed goes before the first block takes its own.
  await device.releaseMemory();
  for (let index = 0; index < count; index++) {
    stopIfAborted(options.signal);
    options.onStage?.({ stage: "denoise", done: index, total: count });
    const started = performance.now();
    const timestep = scheduler.timesteps[index]!;
    const modelOutput = await run.predict(latents, timestep, index);
    const { sample } = scheduler.step(index, {
      sample: latents,
      modelOutput,
      ...(run.drawNoise ? { drawNoise: run.drawNoise } : {}),
    });
    latents = sample;
    options.onTensor?.(`step${index}.latents`, { data: latents.slice(), shape: run.initial.shape });
    options.onStep?.({
      index,
      count,
      timestep,
      seconds: (performance.now() - started) / 1000,
      memory: device.memory(),
    });
  }
  stopIfAborted(options.signal);
  return { data: latents, shape: run.initial.shape };
}

/**
 * Lets one forward pass of a step be stopped, and report its blocks as part of the step.
 * @param pass which of the step's `passes` it is, from 0
 */
export function passControl(
  options: GenerateOptions,
  step: { readonly index: number; readonly count: number },
  pass = 0,
  passes = 1,
): PassControl {
  return {
    signal: options.signal,
    onBlock: (done, count) =>
      options.onStage?.({
        stage: "denoise",
        done: step.index + (pass + done / count) / passes,
        total: step.count,
      }),
  };
}

/** `negative + scale * (positive − negative)`, element by element in f32. */
export function guide(positive: Float32Array, negative: Float32Array, scale: number): Float32Array {
  const out = new Float32Array(positive.length);
  for (let i = 0; i < out.length; i++) {
    const n = negative[i]!;
    out[i] = n + Math.fround(scale * Math.fround(positive[i]! - n));
  }
  return out;
}

/** @throws AbortError when the caller's signal fired */
export function stopIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new AbortError("ABORTED", "the generation was stopped", { cause: signal.reason });
  }
}
