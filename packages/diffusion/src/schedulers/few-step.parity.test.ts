/** Whole trajectories of few-step samplers on a function in place of the model, against the published code. */
import { floatTensor, maxAbsolute, referenceCases, relativeL2, requireCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { hasExpected, type OpenedCase, openCase, row, values } from "../testing-support/reference-case.js";
import { createScheduler } from "./create-scheduler.js";
import type { Scheduler } from "./scheduler.js";

const cases = referenceCases("few-step").filter(hasExpected);
const f = Math.fround;

/** The function of the cases, every operation rounded to float32. */
function predict(x: Float32Array, step: number, timestep: number): Float32Array {
  const offset = f(0.1 * step);
  const weight = f(Math.cos(timestep / 1000));
  return x.map((value) => {
    const wave = f(Math.sin(f(f(f(1.3) * value) + offset)));
    return f(f(wave * f(0.7)) + f(f(f(0.2) * value) * weight));
  });
}

/** The scheduler as a run would set it up from the case's configuration. */
function schedulerOf({ parameters }: OpenedCase): Scheduler {
  const { sampler } = parameters;
  const config = parameters.config as Readonly<Record<string, unknown>>;
  if (sampler === "euler") {
    const list = config.denoising_step_list as number[];
    const scheduler = createScheduler({
      _class_name: "FlowMatchEulerDiscreteScheduler",
      shift: config.shift,
    });
    scheduler.setTimesteps(list.length, { sigmas: list.map((timestep) => timestep / 1000) });
    return scheduler;
  }
  if (sampler === "lcm") {
    const { sigmas, num_inference_steps } = parameters.set_timesteps as {
      sigmas?: number[];
      num_inference_steps?: number;
    };
    const scheduler = createScheduler(config);
    scheduler.setTimesteps(num_inference_steps ?? sigmas!.length, sigmas ? { sigmas } : {});
    return scheduler;
  }
  const scheduler = createScheduler({
    ...config,
    _class_name: sampler === "dmd" ? "DMDScheduler" : "RCMScheduler",
  });
  scheduler.setTimesteps(Number(config.num_steps ?? scheduler.defaultSteps));
  return scheduler;
}

it("the reference folder holds few-step samplers", () => {
  requireCases(cases, "few-step samplers");
});

describe.each(cases)("$name", (reference) => {
  it("has the published timesteps, levels and latents", async () => {
    const opened = await openCase(reference);
    const { tensors, parameters } = opened;
    const { sigmas, latents } = parameters.tolerances as {
      sigmas: { max_abs: number };
      latents: { rel_l2: number; max_abs: number };
    };
    const scheduler = schedulerOf(opened);
    // Timesteps are float32 of up to 1000: half a unit in the last place is 3e-5, the case states 2e-3.
    expect(maxAbsolute(scheduler.timesteps, values(tensors, "timesteps"))).toBeLessThanOrEqual(2e-3);
    expect(maxAbsolute(scheduler.sigmas, values(tensors, "sigmas"))).toBeLessThanOrEqual(sigmas.max_abs);

    const initial = floatTensor(tensors, "initial").data;
    let sample: Float32Array = initial.map((value) => value * scheduler.initNoiseSigma);
    if (tensors.start) expect(relativeL2(sample, floatTensor(tensors, "start").data)).toBeLessThan(1e-6);
    let worst = 0;
    for (const [i, timestep] of scheduler.timesteps.entries()) {
      const modelOutput = predict(sample, i, timestep);
      const outputs = row(tensors, "model_outputs", i);
      expect(relativeL2(modelOutput, outputs), `output ${i}`).toBeLessThanOrEqual(latents.rel_l2);
      sample = scheduler.step(i, { sample, modelOutput, drawNoise: () => row(tensors, "noise", i) }).sample;
      const expected = row(tensors, "latents", i);
      worst = Math.max(worst, relativeL2(sample, expected));
      expect(maxAbsolute(sample, expected), `latents ${i}`).toBeLessThanOrEqual(latents.max_abs);
    }
    console.log(`few-step/${reference.name}: rel l2 ${worst.toExponential(1)}`);
    expect(worst).toBeLessThanOrEqual(latents.rel_l2);
  });
});
