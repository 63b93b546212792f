import { describe, expect, it } from "vitest";
import { applyStepPlan } from "./apply-step-plan.js";
import { createScheduler } from "./create-scheduler.js";
import { hunyuanVideo15Sigmas } from "./family-schedules.js";
import { exponentialSigmas, karrasSigmas, linspace, stretchToTerminal, timeShift } from "./noise-levels.js";
import type { StepTerm } from "./step-plan.js";
import { unipcCorrector, unipcPredictor } from "./unipc-coefficients.js";

const unipc = {
  _class_name: "UniPCMultistepScheduler",
  use_flow_sigmas: true,
  prediction_type: "flow_prediction",
  flow_shift: 3,
};
const euler = { _class_name: "FlowMatchEulerDiscreteScheduler", shift: 5 };
const cogvideox = {
  _class_name: "CogVideoXDPMScheduler",
  prediction_type: "v_prediction",
  timestep_spacing: "trailing",
  rescale_betas_zero_snr: true,
  snr_shift_scale: 1,
};
const coefficient = (plan: readonly StepTerm[], tensor: string) =>
  plan.find((term) => term.tensor === tensor)?.coefficient ?? 0;

describe("createScheduler", () => {
  it("lists the known classes when it meets another one", () => {
    const error = (() => {
      try {
        createScheduler({ _class_name: "constructor" });
      } catch (caught) {
        return caught as { code: string; fix: string };
      }
      return undefined;
    })();
    expect(error?.code).toBe("SCHEDULER_UNKNOWN");
    expect(error?.fix).toContain("CogVideoXDDIMScheduler");
  });

  it("accepts nulls and missing keys as published files have them, and overrides", () => {
    const scheduler = createScheduler(
      { ...unipc, sigma_min: null, solver_p: null, extra: 1 },
      { flow_shift: 1 },
    );
    scheduler.setTimesteps(4);
    expect(scheduler.timesteps).toEqual([999, 750, 500, 250]);
  });

  it.each([
    [{ ...unipc, prediction_type: "noise" }, "prediction_type"],
    [{ ...unipc, use_exponential_sigmas: true }, "use_exponential_sigmas"],
    [{ ...unipc, trained_betas: [0.1, 0.2] }, "trained_betas"],
    [{ ...unipc, use_beta_sigmas: true }, "use_beta_sigmas"],
    [{ ...unipc, thresholding: true }, "thresholding"],
    [{ ...unipc, lower_order_final: false }, "lower_order_final"],
    [{ ...euler, invert_sigmas: true }, "invert_sigmas"],
    [{ ...cogvideox, beta_schedule: "linear" }, "beta_schedule"],
    [{ ...cogvideox, prediction_type: "epsilon" }, "epsilon"],
  ])("refuses what it can not do: %o", (config, message) => {
    expect(() => createScheduler(config)).toThrow(message);
  });

  it("names the key of a bad value", () => {
    expect(() => createScheduler({ ...unipc, flow_shift: "3" })).toThrow(/"flow_shift"/);
  });
});

describe("setTimesteps", () => {
  it("refuses step counts and sigma lists that do not fit", () => {
    const scheduler = createScheduler(unipc);
    expect(() => scheduler.setTimesteps(0)).toThrow(/1 to 1000/);
    expect(() => scheduler.setTimesteps(2.5)).toThrow(/2.5/);
    expect(() => scheduler.setTimesteps(3, { sigmas: [1, 0.5] })).toThrow(/2 sigmas for 3 steps/);
    expect(() => scheduler.setTimesteps(2, { sigmas: [1, Number.NaN] })).toThrow(/NaN/);
    expect(() => createScheduler({ ...unipc, use_dynamic_shifting: true }).setTimesteps(2)).toThrow(/mu/);
  });

  it("shifts dynamically: mu = ln(shift) is the static shift", () => {
    const fixed = createScheduler(euler);
    const dynamic = createScheduler({ ...euler, use_dynamic_shifting: true });
    fixed.setTimesteps(7, { sigmas: hunyuanVideo15Sigmas(7) });
    dynamic.setTimesteps(7, { sigmas: hunyuanVideo15Sigmas(7), mu: Math.log(5) });
    // Both are float32 arithmetic in another order.
    for (const [i, sigma] of fixed.sigmas.entries()) expect(dynamic.sigmas[i]).toBeCloseTo(sigma, 6);
  });

  it("gives one step, and steps that end at the wanted level", () => {
    const scheduler = createScheduler(unipc);
    scheduler.setTimesteps(1);
    expect(scheduler.timesteps).toEqual([999]);
    expect(stretchToTerminal([1, 0.6, 0.2], 0.1).at(-1)).toBeCloseTo(0.1, 12);
    expect(karrasSigmas(0.1, 10, 3)[0]).toBeCloseTo(10, 12);
    expect(exponentialSigmas(0.1, 10, 3)[1]).toBeCloseTo(1, 12);
    expect(timeShift([0.25], 3, "linear")).toEqual([0.5]);
    expect(linspace(2, 5, 1)).toEqual([2]);
  });
});

describe("UniPC without the flags of a flow", () => {
  const bare = { _class_name: "UniPCMultistepScheduler" };
  const stable = { ...bare, beta_schedule: "scaled_linear", beta_start: 0.00085, beta_end: 0.012 };

  it("has the defaults of diffusers' class: noise is predicted, over a diffusion process", () => {
    const scheduler = createScheduler(bare);
    expect(scheduler.config).toMatchObject({
      ...{ use_flow_sigmas: false, prediction_type: "epsilon", beta_schedule: "linear", solver_order: 2 },
      ...{ beta_start: 0.0001, beta_end: 0.02, timestep_spacing: "linspace", final_sigmas_type: "zero" },
    });
    expect([scheduler.flowShiftKey, scheduler.takesSigmas]).toEqual([undefined, false]);
  });

  it("spaces timesteps as numpy does", () => {
    const timesteps = (config: object, steps: number) => {
      const scheduler = createScheduler({ ...bare, ...config });
      scheduler.setTimesteps(steps);
      return scheduler.timesteps;
    };
    // 499.5 goes to the even neighbour.
    expect(timesteps({}, 4)).toEqual([999, 749, 500, 250]);
    expect(timesteps({ timestep_spacing: "leading", steps_offset: 1 }, 4)).toEqual([801, 601, 401, 201]);
    expect(timesteps({ timestep_spacing: "trailing" }, 4)).toEqual([999, 749, 499, 249]);
  });

  it("has the noise levels that are known of these processes", () => {
    // Of Stable Diffusion's: 0.0292 to 14.6146; of DDPM's own: 0.0100 to 157.4073.
    const bounds = (config: object) => {
      const scheduler = createScheduler({ ...config, final_sigmas_type: "sigma_min" });
      scheduler.setTimesteps(10);
      return [scheduler.sigmas.at(-1)!, scheduler.sigmas[0]!];
    };
    const [low, high] = bounds(stable);
    expect(low).toBeCloseTo(0.0292, 4);
    expect(high).toBeCloseTo(14.6146, 3);
    const [lowest, highest] = bounds(bare);
    expect(lowest).toBeCloseTo(0.01, 4);
    expect(highest).toBeCloseTo(157.407, 2);
    // Karras's levels lie between them, at the same timesteps at both ends.
    const karras = createScheduler({ ...stable, use_karras_sigmas: true });
    karras.setTimesteps(10);
    expect(karras.sigmas[0]).toBeCloseTo(14.6146, 3);
    expect([karras.timesteps[0], karras.timesteps.at(-1)]).toEqual([999, 0]);
    // A training that ends without any signal.
    expect(bounds({ ...stable, rescale_betas_zero_snr: true })[1]).toBeCloseTo(4096, 0);
  });

  it("is DDIM at order 1 without a corrector, whatever is predicted", () => {
    for (const prediction_type of ["epsilon", "v_prediction", "sample"]) {
      const scheduler = createScheduler({
        ...{ ...stable, prediction_type, solver_order: 1, disable_corrector: [0, 1, 2, 3] },
      });
      scheduler.setTimesteps(4);
      const sample = 0.7;
      const [at, next] = [scheduler.sigmas[1]!, scheduler.sigmas[2]!];
      const signal = (ratio: number) => 1 / Math.sqrt(1 + ratio ** 2);
      const [x0, noise] = [0.3, (sample - 0.3 * signal(at)) / (at * signal(at))];
      const output = {
        epsilon: noise,
        sample: x0,
        v_prediction: signal(at) * noise - at * signal(at) * x0,
      }[prediction_type]!;
      const plan = scheduler.plan(1);
      const clean = coefficient(plan.x0, "sample") * sample + coefficient(plan.x0, "modelOutput") * output;
      expect(clean).toBeCloseTo(x0, 6);
      const result = coefficient(plan.next, "corrected") * sample + coefficient(plan.next, "x0[0]") * clean;
      expect(result).toBeCloseTo(signal(next) * (x0 + next * noise), 6);
    }
  });

  it("ends at the predicted clean sample", () => {
    const scheduler = createScheduler(bare);
    scheduler.setTimesteps(5);
    expect(scheduler.plan(4).next).toEqual([{ tensor: "x0[0]", coefficient: 1 }]);
  });
});

describe("keys of a configuration", () => {
  it.each([
    [{ ...unipc, shift: 3, clip_sample: false, _diffusers_version: "0.35.0" }, ["shift"]],
    [{ ...euler, flow_shift: 3, base_shift: 0.5, max_image_seq_len: 4096 }, ["flow_shift"]],
    [{ ...cogvideox, clip_sample: true, sample_max_value: 1, beta: 1 }, ["beta"]],
    [{ _class_name: "FlowMatchLCMScheduler", scale_factors: null, upscale_mode: "bicubic" }, []],
    [{ _class_name: "DMDScheduler", sigma_max: 80 }, ["sigma_max"]],
    [{ _class_name: "RCMScheduler", shift: 1 }, ["shift"]],
  ])("that the class does not know are named: %o", (config, unknown) => {
    expect(createScheduler(config).unknownKeys).toEqual(unknown);
  });
});

describe("step plans", () => {
  it("keep the first and last CogVideoX steps finite: factors of 0 or 1 where a log is infinite", () => {
    const scheduler = createScheduler(cogvideox);
    scheduler.setTimesteps(4);
    const first = scheduler.plan(0);
    expect(coefficient(first.next, "sample")).toBe(0);
    expect(coefficient(first.x0, "modelOutput")).toBe(-1);
    const last = scheduler.plan(3);
    expect(last.next).toEqual([{ tensor: "x0[0]", coefficient: 1 }]);
    expect(last.noiseDraws).toBe(1);
    for (const plan of [0, 1, 2, 3].map((i) => scheduler.plan(i)))
      for (const term of plan.next) expect(Number.isFinite(term.coefficient)).toBe(true);
  });

  it("end a flow run exactly at the predicted clean sample", () => {
    const scheduler = createScheduler(unipc);
    scheduler.setTimesteps(5);
    expect(scheduler.plan(4).next).toEqual([{ tensor: "x0[0]", coefficient: 1 }]);
  });

  it("leave the sample uncorrected where disable_corrector says so", () => {
    const scheduler = createScheduler({ ...unipc, disable_corrector: [0] });
    scheduler.setTimesteps(3);
    expect(scheduler.plan(1).corrected).toEqual([{ tensor: "sample", coefficient: 1 }]);
    expect(scheduler.plan(2).corrected).not.toEqual([{ tensor: "sample", coefficient: 1 }]);
  });

  it("draw noise for stochastic Euler and mix it in at the next level", () => {
    const scheduler = createScheduler({ ...euler, shift: 1, stochastic_sampling: true });
    scheduler.setTimesteps(2, { sigmas: [1, 0.5] });
    const { sample } = scheduler.step(0, {
      sample: new Float32Array([3]),
      modelOutput: new Float32Array([1]),
      drawNoise: () => new Float32Array([10]),
    });
    expect(sample[0]).toBe(0.5 * (3 - 1) + 0.5 * 10);
  });

  it("refuse steps out of order, out of range, without noise or of other sizes", () => {
    const inputs = { sample: new Float32Array(2), modelOutput: new Float32Array(2) };
    const scheduler = createScheduler(unipc);
    expect(() => scheduler.step(0, inputs)).toThrow(/0 planned steps/);
    scheduler.setTimesteps(3);
    expect(() => scheduler.step(1, inputs)).toThrow(/step 0 was due/);
    expect(() => scheduler.step(0, { ...inputs, modelOutput: new Float32Array(3) })).toThrow(/3 elements/);
    expect(() => applyStepPlan(scheduler.plan(1), inputs)).toThrow(/previousCorrected/);
    const noisy = createScheduler(cogvideox);
    noisy.setTimesteps(3);
    expect(() => noisy.step(0, inputs)).toThrow(/noise/);
  });

  it("start afresh at step 0 and do not change their inputs", () => {
    const scheduler = createScheduler(unipc);
    scheduler.setTimesteps(3);
    const inputs = { sample: new Float32Array([1, -2]), modelOutput: new Float32Array([0.5, 0.25]) };
    const run = () => [0, 1, 2].map((i) => Array.from(scheduler.step(i, inputs).sample));
    const once = run();
    expect(run()).toEqual(once);
    expect(Array.from(inputs.sample)).toEqual([1, -2]);
  });
});

describe("UniPC coefficients", () => {
  const lambda = (sigma: number) => Math.log((1 - sigma) / sigma);
  const levels = [0.7, 0.82, 0.9, 0.95];
  const target = 0.55;
  const flow = (sigma: number) => ({ signal: 1 - sigma, noise: sigma });

  it.each(["bh1", "bh2"] as const)(
    "carry a constant clean prediction along the straight path (%s)",
    (type) => {
      for (const order of [1, 2, 3, 4]) {
        const used = levels.slice(0, order).map(flow);
        const ratio = target / levels[0]!;
        const straight = 1 - target - ratio * (1 - levels[0]!);
        const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
        const predictor = unipcPredictor(flow(target), used, type);
        const corrector = unipcCorrector(flow(target), used, type);
        expect(predictor.sample).toBe(ratio);
        expect(sum(predictor.x0)).toBeCloseTo(straight, 12);
        expect(sum(corrector.x0) + corrector.newest).toBeCloseTo(straight, 12);
      }
    },
  );

  it("integrate exactly a clean prediction that is a polynomial in the log-SNR", () => {
    // x(t) = sigma_t / sigma_s x(s) + sigma_t * integral of e^l x0(l) dl, by parts for x0 = (l - lambda_s)^n.
    const start = lambda(levels[0]!);
    const h = lambda(target) - start;
    const moment = (n: number): number =>
      n === 0 ? Math.exp(h) - 1 : h ** n * Math.exp(h) - n * moment(n - 1);
    const exact = (n: number) => target * Math.exp(start) * moment(n);
    const value = (sigma: number, n: number) => (lambda(sigma) - start) ** n;
    const apply = (x0: readonly number[], n: number) =>
      x0.reduce((sum, factor, k) => sum + factor * value(levels[k]!, n), 0);
    // The second-order predictor is simplified and only nearly exact, so it is left out.
    for (const [order, degree] of [
      [3, 1],
      [3, 2],
      [4, 3],
    ] as const)
      expect(
        apply(unipcPredictor(flow(target), levels.slice(0, order).map(flow), "bh2").x0, degree),
      ).toBeCloseTo(exact(degree), 10);
    for (const [order, degree] of [
      [2, 1],
      [2, 2],
      [3, 3],
      [4, 4],
    ] as const) {
      const corrector = unipcCorrector(flow(target), levels.slice(0, order).map(flow), "bh2");
      expect(apply(corrector.x0, degree) + corrector.newest * value(target, degree)).toBeCloseTo(
        exact(degree),
        10,
      );
    }
  });
});
