/** The denoising loop that all families share: predict, guide, step. Latents live on the CPU between steps. */
import { AbortError, type Device } from "@lvsa/runtime";
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
  for (let index = 0; index < count; index++) {
    stopIfAborted(options.signal);
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
