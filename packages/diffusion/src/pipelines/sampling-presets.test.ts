/** Presets: what they set, and what they refuse. Their trajectories are compared with the published code elsewhere. */
import { describe, expect, it } from "vitest";
import { FLOW_SCHEDULERS } from "../schedulers/index.js";
import { runScheduler } from "./run-scheduler.js";
import { presetNames, samplingPresets, withPreset } from "./sampling-presets.js";

const unipc = {
  ...{ _class_name: "UniPCMultistepScheduler", num_train_timesteps: 1000, flow_shift: 3 },
  ...{ use_flow_sigmas: true, prediction_type: "flow_prediction" },
};
const source = { classes: FLOW_SCHEDULERS, config: unipc };
const defaults = { numInferenceSteps: 50 };
const prompt = "A cat.";

/** Timesteps given to the model, by hand: 1000 · 5 s / (1 + 4 s); of the demo model 1000 · 4 s / (1 + 3 s). */
const SHIFTED = [1000, 937.5, 833.3333, 625];
const TIMESTEPS: Readonly<Record<string, readonly number[]>> = {
  "lightx2v-4step": SHIFTED,
  "lightx2v-4step-lcm": SHIFTED,
  "fastwan-3step": [1000, 757, 522],
  "fastwan-5b-3step": [1000, 757, 522],
  "self-forcing-4step": SHIFTED,
  "demo-wan-4step": [1000, 923.0769, 800, 571.4286],
  "rcm-4step": [987.6543, 933.7811, 852.8954, 608.979],
};

describe("every preset", () => {
  it.each(Object.keys(samplingPresets))(
    "%s runs its own steps, whatever the checkpoint's scheduler is",
    (name) => {
      const { options, note } = withPreset({ prompt, preset: name }, "wan", 1);
      const { scheduler, used } = runScheduler(source, options, defaults);
      expect(scheduler.timesteps).toHaveLength(TIMESTEPS[name]!.length);
      // float32 of numbers up to 1000.
      for (const [i, timestep] of scheduler.timesteps.entries())
        expect(timestep).toBeCloseTo(TIMESTEPS[name]![i]!, 3);
      expect(options.guidanceScale).toBe(1);
      expect(options.boundaryStepIndex).toBeUndefined();
      expect(used.scheduler).toBe(scheduler.className);
      expect(note).toContain(scheduler.className);
    },
  );

  it("agrees with options that say the same, and refuses others by name", () => {
    const given = { prompt, preset: "lightx2v-4step", numInferenceSteps: 4, sigmas: [1, 0.75, 0.5, 0.25] };
    expect(withPreset(given, "wan", 1).options.flowShift).toBe(5);
    for (const [option, value] of [
      ["numInferenceSteps", 8],
      ["guidanceScale", 3],
      ["flowShift", 8],
      ["sigmas", [1, 0.5]],
      ["scheduler", "FlowMatchLCMScheduler"],
    ] as const) {
      expect(() => withPreset({ ...given, [option]: value }, "wan", 1)).toThrow(
        expect.objectContaining({ code: "BAD_OPTION", message: expect.stringContaining(`${option} `) }),
      );
    }
  });

  it("switches transformers after the second of four steps, where there are two", () => {
    expect(withPreset({ prompt, preset: "lightx2v-4step" }, "wan", 2).options.boundaryStepIndex).toBe(2);
    expect(
      withPreset({ prompt, preset: "fastwan-3step" }, "wan", 2).options.boundaryStepIndex,
    ).toBeUndefined();
  });

  it("is of the families that it was made for", () => {
    expect(presetNames("hunyuan")).toEqual(["lightx2v-4step", "lightx2v-4step-lcm"]);
    for (const preset of ["fastwan-3step", "lightx2v-5step", "toString"])
      expect(() => withPreset({ prompt, preset }, "hunyuan", 1)).toThrow(/preset .*/);
  });
});

describe("another scheduler", () => {
  it("keeps the checkpoint's shift, under its own key, unless one is given", () => {
    const levels = [1, 0.5];
    const shifted = (shift: number) => levels.map((s) => (1000 * shift * s) / (1 + (shift - 1) * s));
    for (const [given, shift] of [
      [{}, 3],
      [{ flowShift: 5 }, 5],
    ] as const) {
      const options = { scheduler: "FlowMatchEulerDiscreteScheduler", sigmas: levels, ...given };
      expect(runScheduler(source, options, defaults).scheduler.timesteps).toEqual(
        shifted(shift).map(Math.fround),
      );
    }
    const euler = {
      classes: FLOW_SCHEDULERS,
      config: { _class_name: "FlowMatchEulerDiscreteScheduler", shift: 7 },
    };
    const back = runScheduler(euler, { scheduler: "UniPCMultistepScheduler", sigmas: [0.5] }, defaults);
    expect(back.scheduler.timesteps).toEqual([875]);
  });

  it("that nobody knows is refused with the known ones", () => {
    expect(() => runScheduler(source, { scheduler: "DDIMScheduler" }, defaults)).toThrow(
      expect.objectContaining({
        code: "BAD_OPTION",
        message: 'scheduler: this model does not run with "DDIMScheduler"',
        fix: expect.stringContaining("DMDScheduler"),
        // The option is wrong, not a file.
        isUsage: true,
        where: undefined,
      }),
    );
  });

  it("has as many steps as its own list unless they are asked for", () => {
    expect(runScheduler(source, { scheduler: "DMDScheduler" }, defaults).steps).toBe(3);
    expect(runScheduler(source, { scheduler: "RCMScheduler", numInferenceSteps: 2 }, defaults).steps).toBe(2);
    for (const [scheduler, numInferenceSteps] of [
      ["DMDScheduler", 4],
      ["RCMScheduler", 5],
    ] as const) {
      expect(() => runScheduler(source, { scheduler, numInferenceSteps }, defaults)).toThrow(
        expect.objectContaining({ code: "STEPS_INVALID" }),
      );
    }
  });
});
