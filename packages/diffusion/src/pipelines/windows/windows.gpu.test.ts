/** Clips in windows, of every family: what one window is, how seams are blended, what memory and prompts reach. */
import { join } from "node:path";
import type { Device } from "@lvsa/runtime";
import { memorySource } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { readJson, relativeL2, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { Engine } from "../../engine/engine.js";
import type { RunState } from "../../run-state/run-state.js";
import { encodeRunState, readRunState } from "../../run-state/run-state-file.js";
import { createScheduler } from "../../schedulers/index.js";
import { engineFamilies } from "../../testing-support/engine-families.js";
import type { GenerateOptions, HostTensor } from "../video-pipeline.js";

/** Windows of 3 latent frames that share one: 25 frames are 3 of them, 73 are 9. */
const WINDOWS = { windowFrames: 9, windowOverlap: 4 };
const clip: GenerateOptions = { height: 32, width: 48, numInferenceSteps: 1, seed: 3, guidanceScale: 1 };
const prompt = "A cat.";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("the reference folder holds whole checkpoints", () => {
  requireCases(engineFamilies);
});

/** Latent frames `from` to `to` of all channels. */
function frames({ data, shape }: HostTensor, axis: number, from: number, to: number): number[] {
  const inner = shape.slice(axis + 1).reduce((product, n) => product * n, 1);
  const total = shape[axis]!;
  return [...data].filter((_, i) => {
    const frame = Math.floor(i / inner) % total;
    return frame >= from && frame < to;
  });
}

/** What clean latents are of the noisy ones and the prediction, at the second of two steps. */
function cleanTerms(checkpoint: string, name: string, { timesteps }: RunState): readonly [number, number] {
  if (name !== "cogvideox") return [1, -timesteps[1]! / 1000];
  // A diffusion process: of its velocity, with the share of signal that the scheduler has at the timestep.
  const config = readJson<{ [key: string]: unknown }>(join(checkpoint, "scheduler/scheduler_config.json"));
  const scheduler = createScheduler(config);
  scheduler.setTimesteps(2);
  const of = (tensor: string) =>
    scheduler.plan(1).x0.find((term) => term.tensor === tensor)?.coefficient ?? 0;
  return [of("sample"), of("modelOutput")];
}

describe.each(engineFamilies)("$name", ({ name, directory: checkpoint }) => {
  const axis = name === "cogvideox" ? 1 : 2;
  const open = () => Engine.open(nodeFolder(checkpoint), { device, precision: "f32", registered: false });
  const guided = { ...clip, prompt, guidanceScale: 4, numInferenceSteps: 3 };

  it("is the plain run, bit for bit, where one window has the clip", async () => {
    using engine = await open();
    const plain = await engine.generate({ ...guided, numFrames: 9 });
    const windowed = await engine.generate({ ...guided, numFrames: 9, ...WINDOWS });
    expect(windowed.latents).toEqual(plain.latents);
    expect(windowed.settings).toEqual(plain.settings);
    expect(windowed.notes.join()).toMatch(/windowFrames had no effect/);
    const segments = await engine.generate({
      ...{ ...guided, prompt: undefined!, numFrames: 9, ...WINDOWS },
      prompts: [{ fromFrame: 0, prompt }],
    });
    expect(segments.latents).toEqual(plain.latents);
  });

  it("blends clean latents of windows, as a computation in float64 says", async () => {
    using engine = await open();
    const seen = new Map<string, HostTensor>();
    const shift = name === "cogvideox" ? {} : { scheduler: "FlowMatchEulerDiscreteScheduler" };
    const options = { ...clip, prompt, numInferenceSteps: 2, numFrames: 29, ...WINDOWS, ...shift };
    let first: RunState | undefined;
    const { settings, frameCount } = await engine.generate({
      ...options,
      onTensor: (key, tensor) => void seen.set(key, tensor),
      onState: (state) => {
        first ??= state;
      },
    });
    expect(settings).toMatchObject({ window_frames: 9, window_overlap: 4, windows: 4 });
    // Its autoencoder makes whole groups of an even number of latent frames.
    expect(frameCount).toBe(name === "cogvideox" ? 32 : 29);
    // The last step ends at the clean latents of the whole clip.
    const before = seen.get("step0.latents")!;
    const after = seen.get("step1.latents")!;
    const total = before.shape[axis]!;
    const starts = [0, 2, 4, 5];
    const inner = before.shape.slice(axis + 1).reduce((product, n) => product * n, 1);
    const sum = new Float64Array(before.data.length);
    const weights = new Float64Array(total);
    const [ofSample, ofModel] = cleanTerms(checkpoint, name, first!);
    for (const [w, start] of starts.entries()) {
      const prediction = seen.get(`step1.window${w}.noise_cond`)!;
      expect(prediction.shape[axis]).toBe(3);
      for (let at = 0; at < 3; at++) {
        const rise = w === 0 ? 1 : (at + 1) / 2;
        const fall = w === starts.length - 1 ? 1 : (3 - at) / 2;
        weights[start + at]! += Math.min(1, rise, fall);
      }
      for (let i = 0; i < prediction.data.length; i++) {
        const at = Math.floor(i / inner) % 3;
        const outer = Math.floor(i / inner / 3);
        const to = (outer * total + start + at) * inner + (i % inner);
        const clean = ofSample * before.data[to]! + ofModel * prediction.data[i]!;
        const rise = w === 0 ? 1 : (at + 1) / 2;
        const fall = w === starts.length - 1 ? 1 : (3 - at) / 2;
        sum[to]! += Math.min(1, rise, fall) * clean;
      }
    }
    const expected = sum.map((value, i) => value / weights[Math.floor(i / inner) % total]!);
    // Float32 of a few terms.
    expect(relativeL2(after.data, Float32Array.from(expected))).toBeLessThan(1e-6);
  });

  it("takes the same memory for 3 and for 9 windows", async () => {
    const peaks: number[] = [];
    for (const numFrames of [25, 73]) {
      using engine = await open();
      const levels: number[] = [];
      let passes = 0;
      await engine.generate({
        ...{ ...guided, ...WINDOWS, numFrames, numInferenceSteps: 2 },
        onStep: ({ memory }) => void levels.push(memory.liveBytes),
        onStage: ({ stage }) => {
          if (stage === "denoise") levels.push(device.memory().liveBytes);
        },
        onTensor: (key) => {
          if (key.startsWith("step0.window") && key.endsWith("noise_cond")) passes += 1;
        },
      });
      expect(passes).toBe(numFrames === 25 ? 3 : 9);
      peaks.push(Math.max(...levels));
    }
    expect(peaks[1]).toBe(peaks[0]);
  });

  it("shows a prompt in its segment's windows alone", async () => {
    using engine = await open();
    const options = { ...clip, ...WINDOWS, numFrames: 25 };
    const one = await engine.generate({ ...options, prompt });
    // Windows of frames 0 to 2, 2 to 4 and 4 to 6: only the last one has its middle, frame 20, in the second segment.
    const prompts = [
      { fromFrame: 0, prompt },
      { fromFrame: 17, prompt: "A large dog runs." },
    ];
    const two = await engine.generate({ ...options, prompts });
    const written = prompts.map(({ fromFrame, prompt }) => ({ from_frame: fromFrame, prompt }));
    expect(two.settings).toMatchObject({ prompt: null, prompts: JSON.stringify(written) });
    expect(frames(two.latents, axis, 0, 4)).toEqual(frames(one.latents, axis, 0, 4));
    for (let frame = 4; frame < 7; frame++) {
      expect(frames(two.latents, axis, frame, frame + 1)).not.toEqual(
        frames(one.latents, axis, frame, frame + 1),
      );
    }
    const same = prompts.map((segment) => ({ ...segment, prompt }));
    expect((await engine.generate({ ...options, prompts: same })).latents).toEqual(one.latents);
  });

  it("goes on after a step to the same bits, and with nothing else", async () => {
    using engine = await open();
    const prompts = [
      { fromFrame: 0, prompt },
      { fromFrame: 17, prompt: "A dog." },
    ];
    const options: GenerateOptions = { ...guided, prompt: undefined!, prompts, ...WINDOWS, numFrames: 25 };
    let state: RunState | undefined;
    const whole = await engine.generate({
      ...options,
      onState: (now) => {
        state ??= { ...now };
      },
    });
    const { state: resumeFrom } = (await readRunState(memorySource(encodeRunState(state!))))!;
    const { seed: _, ...rest } = options;
    using other = await open();
    expect((await other.generate({ ...rest, resumeFrom })).latents).toEqual(whole.latents);
    for (const change of [
      { windowFrames: 13 },
      { windowOverlap: 0 },
      { prompts: [prompts[0]!, { ...prompts[1]!, fromFrame: 18 }] },
    ]) {
      await expect(other.generate({ ...rest, ...change, resumeFrom })).rejects.toMatchObject({
        code: "RUN_CHANGED",
      });
    }
  });

  it("refuses what does not go together before anything is loaded", async () => {
    using engine = await open();
    const before = device.memory().liveBytes;
    const bad: [GenerateOptions, RegExp][] = [
      [{ prompt, windowOverlap: 4 }, /windowOverlap is given without windowFrames/],
      [{ prompts: [{ fromFrame: 0, prompt }] }, /prompts is given without windowFrames/],
      [{ ...WINDOWS, prompt, prompts: [{ fromFrame: 0, prompt }] }, /prompt and prompts exclude/],
      [{ ...WINDOWS, prompts: [{ fromFrame: 4, prompt }] }, /first from frame 0/],
      [{ ...WINDOWS, prompts: [] }, /first from frame 0/],
      [{ ...WINDOWS, prompt, windowFrames: 8 }, /8 frames do not fit/],
      [{ ...WINDOWS, prompt, windowOverlap: 3 }, /4 video frames/],
      [{ ...WINDOWS, prompt, numFrames: 25, stepCache: "easycache" }, /stepCache/],
    ];
    for (const [options, message] of bad) {
      await expect(engine.generate({ ...clip, ...options })).rejects.toThrow(message);
    }
    expect(device.memory().liveBytes).toBe(before);
  });
});
