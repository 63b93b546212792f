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
    [{ ...unipc, use_flow_sigmas: false }, "use_flow_sigmas"],
    [{ ...unipc, prediction_type: "epsilon" }, "epsilon"],
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
    expect(() => createScheduler({ ...unipc, use_karras_sigmas: true }).setTimesteps(2)).toThrow(
      /sigma range/,
    );
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

  it.each(["bh1", "bh2"] as const)(
    "carry a constant clean prediction along the straight path (%s)",
    (type) => {
      for (const order of [1, 2, 3, 4]) {
        const used = levels.slice(0, order);
        const ratio = target / used[0]!;
        const straight = 1 - target - ratio * (1 - used[0]!);
        const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
        const predictor = unipcPredictor(target, used, type);
        const corrector = unipcCorrector(target, used, type);
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
      expect(apply(unipcPredictor(target, levels.slice(0, order), "bh2").x0, degree)).toBeCloseTo(
        exact(degree),
        10,
      );
    for (const [order, degree] of [
      [2, 1],
      [2, 2],
      [3, 3],
      [4, 4],
    ] as const) {
      const corrector = unipcCorrector(target, levels.slice(0, order), "bh2");
      expect(apply(corrector.x0, degree) + corrector.newest * value(target, degree)).toBeCloseTo(
        exact(degree),
        10,
      );
    }
  });
});
