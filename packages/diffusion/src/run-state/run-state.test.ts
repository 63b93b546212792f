/** States of parts and of runs: through a file and back, and what is refused. */
import { encodeSafetensors, memorySource } from "@lvsa/runtime";
import { describe, expect, it } from "vitest";
import { TorchCpuGenerator } from "../random/index.js";
import { createScheduler } from "../schedulers/index.js";
import { checkRunState, type RunState, restoreParts } from "./run-state.js";
import { encodeRunState, readRunState } from "./run-state-file.js";

const SHAPE = [1, 2, 3, 4];
const CONFIGS: Readonly<Record<string, Record<string, unknown>>> = {
  UniPCMultistepScheduler: { use_flow_sigmas: true, prediction_type: "flow_prediction", solver_order: 3 },
  FlowMatchEulerDiscreteScheduler: { shift: 3 },
  "FlowMatchEulerDiscreteScheduler (stochastic)": { stochastic_sampling: true },
  CogVideoXDDIMScheduler: { prediction_type: "v_prediction", rescale_betas_zero_snr: true },
  CogVideoXDPMScheduler: { prediction_type: "v_prediction", rescale_betas_zero_snr: true },
};
const STEPS = 6;

function run(name: string) {
  const scheduler = createScheduler({ ...CONFIGS[name], _class_name: name.split(" ")[0] });
  scheduler.setTimesteps(STEPS);
  const generator = new TorchCpuGenerator(5);
  let latents = generator.randn(SHAPE);
  return {
    parts: { scheduler, generator },
    get latents() {
      return latents;
    },
    set latents(data) {
      latents = data;
    },
    step(index: number) {
      const modelOutput = latents.map((x, i) => Math.sin(x * (i + 1)));
      const drawNoise = () => generator.randn(SHAPE);
      latents = scheduler.step(index, { sample: latents, modelOutput, drawNoise }).sample;
    },
    state(step: number): RunState {
      return {
        ...{ family: "wan", step, timesteps: scheduler.timesteps, startedFromLatents: false },
        ...{ latents: { data: latents, shape: SHAPE }, seed: 2n ** 63n },
        settings: { prompt: 'a "cat" 🐱', guidance_scale: 1.5, flow_shift: null, dynamic: false },
        parts: { scheduler: scheduler.state(), generator: generator.state() },
      };
    },
  };
}

describe.each(Object.keys(CONFIGS))("%s", (name) => {
  it.each([1, 2, 3, 4, 5, 6])("goes on after step %i through a file, bit for bit", async (stop) => {
    const whole = run(name);
    const cut = run(name);
    for (let i = 0; i < stop; i++) cut.step(i);
    const file = encodeRunState(cut.state(stop), { more: "text" });
    for (let i = 0; i < STEPS; i++) whole.step(i);

    const read = (await readRunState(memorySource(file)))!;
    expect(read.metadata.more).toBe("text");
    expect(read.state).toEqual(cut.state(stop));
    const resumed = run(name);
    checkRunState(read.state, { ...resumed.state(1), shape: SHAPE });
    restoreParts(read.state, resumed.parts);
    resumed.latents = read.state.latents.data as Float32Array<ArrayBuffer>;
    for (let i = stop; i < STEPS; i++) resumed.step(i);
    expect(resumed.latents).toEqual(whole.latents);
    // What is drawn afterwards, too; and the pair of a small draw that was kept.
    const rest = [SHAPE, [3], [1]].map((shape) => resumed.parts.generator.randn(shape));
    expect(rest).toEqual([SHAPE, [3], [1]].map((shape) => whole.parts.generator.randn(shape)));
  });
});

describe("a generator", () => {
  it.each([1, 3, 15, 16, 100, 700])("goes on after %i numbers", (drawn) => {
    const [one, other] = [new TorchCpuGenerator(7), new TorchCpuGenerator(8)];
    one.randn([drawn]);
    other.restore(one.state());
    for (const size of [1, 2, 40]) expect(other.randn([size])).toEqual(one.randn([size]));
  });
});

describe("what is no state of this run", () => {
  const unipc = () => run("UniPCMultistepScheduler");
  const changes: [string, Partial<RunState>, RegExp][] = [
    [
      "another prompt",
      { settings: { ...unipc().state(1).settings, prompt: "dog" } },
      /prompt was dog and is a "cat"/,
    ],
    ["another family", { family: "hunyuan" }, /family was hunyuan and is wan/],
    ["another size", { latents: { data: new Float32Array(2), shape: [1, 2] } }, /shape was \[1, 2\] and is/],
    ["other noise levels", { timesteps: [5, 4, 3, 2, 1, 0] }, /timesteps/],
  ];
  it.each(changes)("%s is named", (_what, change, message) => {
    const good = unipc().state(1);
    const failing = () => checkRunState({ ...good, ...change }, { ...good, shape: SHAPE });
    expect(failing).toThrow(expect.objectContaining({ code: "RUN_CHANGED", isUsage: true }));
    expect(failing).toThrow(message);
  });

  it("steps that do not exist, parts of something else, and missing ones are refused", () => {
    const good = unipc().state(1);
    const bad = expect.objectContaining({ code: "BAD_RUN_STATE" });
    for (const step of [0, 7, 1.5, Number.NaN]) {
      expect(() => checkRunState({ ...good, step }, { ...good, shape: SHAPE })).toThrow(bad);
    }
    const { parts } = unipc();
    expect(() => restoreParts({ ...good, parts: {} }, parts)).toThrow(bad);
    const euler = run("FlowMatchEulerDiscreteScheduler").state(1);
    expect(() => restoreParts(euler, parts)).toThrow(bad);
    const generator = { values: { words: [1, 2, 3], kept_normal: null }, tensors: {} };
    expect(() => restoreParts({ ...good, parts: { ...good.parts, generator } }, parts)).toThrow(bad);
  });

  it("files: others are told apart from damaged ones", async () => {
    const latents = { dtype: "F32", shape: [2], data: new Float32Array(2) } as const;
    expect(await readRunState(memorySource(encodeSafetensors({ latents })))).toBeUndefined();
    for (const text of ["{", "{}", '{"version":2}']) {
      const file = encodeSafetensors({ latents }, { lvsa_run_state: text });
      await expect(readRunState(memorySource(file))).rejects.toMatchObject({ code: "BAD_RUN_STATE" });
    }
  });

  it("a file that is cut off, and numbers that are none, are said with what is left to do", async () => {
    const state = unipc().state(1);
    const whole = encodeRunState(state);
    const anew = /begin the run anew/;
    for (const size of [0, 8, whole.length - 4]) {
      const error = readRunState(memorySource(whole.slice(0, size), "run.safetensors"));
      await expect(error).rejects.toMatchObject({ name: "WeightsError", fix: expect.stringMatching(anew) });
    }
    const data = (state.latents.data as Float32Array).slice();
    data[1] = Number.NaN;
    const bad = encodeRunState({ ...state, latents: { ...state.latents, data } });
    await expect(readRunState(memorySource(bad))).rejects.toMatchObject({
      code: "BAD_RUN_STATE",
      message: expect.stringMatching(/"latents" holds NaN at element 1/),
      fix: expect.stringMatching(anew),
    });
  });
});
