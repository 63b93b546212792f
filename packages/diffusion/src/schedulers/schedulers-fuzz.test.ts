/** Step counts one by one, and damaged configurations: a run whose factors are all finite, or a named error. */
import { isLvsaError } from "@lvsa/runtime";
import { seededUniform } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { createScheduler } from "./create-scheduler.js";
import type { Scheduler } from "./scheduler.js";

const SEED = 20260212;
const MUTATIONS = 6000;

const cogvideox = {
  ...{ _class_name: "CogVideoXDDIMScheduler", prediction_type: "v_prediction", num_train_timesteps: 1000 },
  ...{ beta_start: 0.00085, beta_end: 0.012, beta_schedule: "scaled_linear", set_alpha_to_one: true },
  ...{ steps_offset: 0, timestep_spacing: "trailing", rescale_betas_zero_snr: true, snr_shift_scale: 3 },
};
const bases: readonly Readonly<Record<string, unknown>>[] = [
  cogvideox,
  { ...cogvideox, _class_name: "CogVideoXDPMScheduler", snr_shift_scale: 1 },
  {
    ...{ _class_name: "FlowMatchEulerDiscreteScheduler", num_train_timesteps: 1000, shift: 5 },
    ...{ use_dynamic_shifting: false, shift_terminal: null, use_karras_sigmas: false },
    ...{ use_exponential_sigmas: false, time_shift_type: "exponential", stochastic_sampling: false },
  },
  { _class_name: "FlowMatchLCMScheduler", num_train_timesteps: 1000, shift: 5, scale_factors: null },
  {
    ...{ _class_name: "UniPCMultistepScheduler", num_train_timesteps: 1000, flow_shift: 3, solver_order: 2 },
    ...{ use_flow_sigmas: true, prediction_type: "flow_prediction", solver_type: "bh2", sigma_min: null },
    ...{ sigma_max: null, final_sigmas_type: "zero", lower_order_final: true, disable_corrector: [] },
    ...{ use_karras_sigmas: false, shift_terminal: null, use_dynamic_shifting: false, predict_x0: true },
  },
];

/** Runs all steps with a tame model; returns the latents of every step. */
function run(scheduler: Scheduler, steps: number): Float32Array[] {
  let sample = new Float32Array([1, -0.5, 0.25]);
  return Array.from({ length: steps }, (_, i) => {
    const modelOutput = sample.map((value) => Math.sin(value));
    sample = scheduler.step(i, { sample, modelOutput, drawNoise: () => new Float32Array([1, 0, -1]) }).sample;
    return sample;
  });
}

function assertRuns(scheduler: Scheduler, steps: number): void {
  scheduler.setTimesteps(steps);
  expect(scheduler.timesteps.length).toBe(steps);
  // A flow shift near 0 loses so many bits that diffusers' own levels reach 1.01; CogVideoX's index a table.
  const limit = scheduler.sigmas.length > 0 ? Number.MAX_VALUE : scheduler.numTrainTimesteps - 1;
  expect(scheduler.timesteps.find((t) => !(t >= 0 && t <= limit))).toBeUndefined();
  for (const [i, latents] of run(scheduler, steps).entries())
    if (!latents.every(Number.isFinite)) throw new Error(`step ${i} gives ${latents}`);
}

describe("step counts", () => {
  const cases = bases.flatMap((base) =>
    String(base._class_name).startsWith("Cog")
      ? ["trailing", "leading", "linspace"].map((timestep_spacing) => ({ ...base, timestep_spacing }))
      : [base, { ...base, shift: 1, flow_shift: 1 }],
  );

  it.each(cases)("are exactly those asked for, 1 to 1000: $_class_name $timestep_spacing", (config) => {
    const scheduler = createScheduler(config);
    for (let steps = 1; steps <= 1000; steps++) {
      scheduler.setTimesteps(steps);
      const { timesteps } = scheduler;
      if (timesteps.length !== steps) throw new Error(`${timesteps.length} timesteps for ${steps} steps`);
      for (const [i, timestep] of timesteps.entries())
        if (!(timestep >= 0 && timestep <= 1000) || (i > 0 && timestep > timesteps[i - 1]!))
          throw new Error(`${steps} steps: timestep ${i} is ${timestep}`);
    }
  });

  it.each(cases)(
    "run to finite latents where a ratio is rounded up: $_class_name $timestep_spacing",
    (config) => {
      // numpy's arange(1000, 0, -1000 / n) has n + 1 values for 61, 122, 189, …
      for (const steps of [1, 2, 3, 61, 122, 189, 244, 378, 999, 1000])
        assertRuns(createScheduler(config), steps);
    },
  );

  it("stay the formula's, where rounding does no harm", () => {
    const scheduler = createScheduler(cogvideox);
    scheduler.setTimesteps(61);
    // By hand: round(1000 - i * 1000 / 61) - 1.
    expect(scheduler.timesteps.slice(0, 4)).toEqual([999, 983, 966, 950]);
    expect(scheduler.timesteps.slice(-2)).toEqual([32, 15]);
  });
});

describe("configurations out of range", () => {
  it.each([
    [{ ...cogvideox, timestep_spacing: "leading", steps_offset: 1 }, 1000, "SCHEDULER_CONFIG_INVALID"],
    [{ ...cogvideox, timestep_spacing: "leading", steps_offset: -1 }, 10, "SCHEDULER_CONFIG_INVALID"],
    [{ ...cogvideox, beta_end: 1.5 }, 10, "SCHEDULER_CONFIG_INVALID"],
    [{ ...cogvideox, num_train_timesteps: 1e9 }, 10, "SCHEDULER_CONFIG_INVALID"],
    [{ ...bases[2], shift: 1e308 }, 4, "SCHEDULER_NOT_FINITE"],
    [{ ...bases[2], shift_terminal: 1 }, 4, "SCHEDULER_CONFIG_INVALID"],
    [{ ...bases[4], shift_terminal: -2 }, 4, "SCHEDULER_CONFIG_INVALID"],
    [{ ...bases[4], num_train_timesteps: 4e9 }, 4, "SCHEDULER_CONFIG_INVALID"],
    [{ ...bases[4], flow_shift: 1e308 }, 4, "SCHEDULER_NOT_FINITE"],
  ])("%o with %i steps: %s", (config, steps, code) => {
    expect(() => {
      createScheduler(config).setTimesteps(steps);
    }).toThrow(expect.objectContaining({ code, where: "scheduler_config.json", fix: expect.any(String) }));
  });

  it.each([null, "UniPCMultistepScheduler", 7, [], [bases[0]], undefined, {}, { _class_name: ["x"] }])(
    "no configuration of a known class: %j",
    (config) => {
      expect(() => createScheduler(config)).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^SCHEDULER_(UNKNOWN|CONFIG_INVALID)$/) }),
      );
    },
  );

  it("leave a scheduler without steps, not with half of them", () => {
    const scheduler = createScheduler({ ...bases[2], shift: 1e308 });
    expect(() => scheduler.setTimesteps(3)).toThrow(/step 1 of 3/);
    expect(scheduler.timesteps).toEqual([]);
  });
});

describe(`${MUTATIONS} mutated configurations with seed ${SEED}`, () => {
  const ODD = [
    ...[null, 0, -0, -1, 1, 2, 1.5, 0.5, 1e-308, 1e-3, 0.999999, 999, 1e5, 1e12, 1e308, -1e308, 2 ** 31],
    ...[
      Number.POSITIVE_INFINITY,
      Number.NaN,
      true,
      false,
      "",
      "x",
      "leading",
      "linspace",
      "zero",
      "sigma_min",
    ],
    ...["linear", "sample", "epsilon", "bh1", "midpoint", "\u0000\u001b[31m", "x".repeat(100_000)],
    ...[[], [0], [1e308], [[]], {}, { a: 1 }],
  ];

  it("run with finite latents or end in a named error", () => {
    const uniform = seededUniform(SEED);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(uniform() * list.length)]!;
    const codes = new Map<string, number>();
    for (let i = 0; i < MUTATIONS; i++) {
      const config: Record<string, unknown> = { ...pick(bases) };
      for (let changes = 1 + Math.floor(uniform() * 3); changes > 0; changes--) {
        const key = pick(Object.keys(config));
        if (uniform() < 0.1) delete config[key];
        else config[key] = pick(ODD);
      }
      const steps = pick([1, 2, 3, 10, 61, 999, 1000]);
      let code = "ran";
      try {
        assertRuns(createScheduler(config), steps);
      } catch (error) {
        if (!isLvsaError(error))
          throw new Error(`mutation ${i}: ${JSON.stringify(config).slice(0, 500)}, ${steps} steps`, {
            cause: error,
          });
        if (error.message.length > 1000) throw new Error(`mutation ${i}: ${error.message.length} characters`);
        code = error.code;
      }
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    // The mutations must reach every check, or this test looks at too little.
    expect([...codes.keys()].sort()).toEqual([
      "SCHEDULER_CONFIG_INVALID",
      "SCHEDULER_NEEDS_MU",
      "SCHEDULER_NOT_FINITE",
      "SCHEDULER_OPTION_UNSUPPORTED",
      "SCHEDULER_UNKNOWN",
      "STEPS_INVALID",
      "ran",
    ]);
  });
});
