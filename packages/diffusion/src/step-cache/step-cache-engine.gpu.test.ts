/** Step caches in whole generations of every family: what is skipped, said, refused and freed. */
import type { Device } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { relativeL2, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { Engine } from "../engine/engine.js";
import type { GenerateOptions } from "../pipelines/video-pipeline.js";
import type { RunState } from "../run-state/run-state.js";
import { engineFamilies } from "../testing-support/engine-families.js";

const STEPS = 8;
const clip = { prompt: "A cat.", numFrames: 9, height: 32, width: 48, numInferenceSteps: STEPS, seed: 3 };
/** No error: as many steps as are allowed are skipped after one that ran. */
const flat = { positive: Array.from({ length: STEPS }, () => 1) };

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("the reference folder holds whole checkpoints", () => {
  requireCases(engineFamilies);
});

describe.each(engineFamilies)("$name", ({ name, directory: checkpoint }) => {
  const open = () => Engine.open(nodeFolder(checkpoint), { device, precision: "f32", registered: false });

  it.each([
    ["easycache:1000", undefined],
    ["first-block:1000", 2 * (STEPS - 1)],
    [{ name: "magcache", ratios: flat, retentionRatio: 0, maxSkipSteps: 3 }, 2 * 6],
  ] as [GenerateOptions["stepCache"], number | undefined][])(
    "skips passes with %o, and is near the whole run",
    async (stepCache, reused) => {
      const before = device.memory().liveBytes;
      using engine = await open();
      const whole = await engine.generate(clip);
      expect(whole.stepCache).toBeUndefined();
      expect(whole.settings.step_cache).toBeNull();
      const levels: number[] = [];
      const cached = await engine.generate({
        ...clip,
        ...{ stepCache: stepCache!, onStep: ({ memory }) => levels.push(memory.liveBytes) },
      });
      const report = cached.stepCache!;
      expect(report.passes).toBe(2 * STEPS);
      if (reused === undefined) expect(report.reused).toBeGreaterThan(0);
      else expect(report.reused).toBe(reused);
      expect(cached.settings.step_cache).toMatch(/threshold/);
      expect(cached.notes.at(-1)).toMatch(
        new RegExp(`^Step cache .*: ${report.reused} of 16 passes were not`),
      );
      // Another run, and still one: noise would be sqrt(2) away.
      const error = relativeL2(cached.latents.data, whole.latents.data);
      expect(error).toBeGreaterThan(0);
      expect(error).toBeLessThan(1);
      // After the first step the cache keeps as much as it ever will.
      expect(Math.max(...levels.slice(2))).toBeLessThanOrEqual(levels[1]!);
      engine.dispose();
      expect(device.memory().liveBytes).toBe(before);
    },
  );

  it("goes on from a state as it would have gone on", async () => {
    using engine = await open();
    const options = {
      ...clip,
      stepCache: { name: "magcache", ratios: flat, retentionRatio: 0, maxSkipSteps: 3 },
    };
    const states: RunState[] = [];
    const whole = await engine.generate({
      ...(options as GenerateOptions),
      onState: (state) => void states.push(state),
    });
    const { seed: _, ...rest } = options;
    const resumed = await engine.generate({ ...(rest as GenerateOptions), resumeFrom: states[4]! });
    expect(resumed.latents.data).toEqual(whole.latents.data);
    const changed = engine.generate({
      ...(rest as GenerateOptions),
      stepCache: "easycache",
      resumeFrom: states[4]!,
    });
    await expect(changed).rejects.toThrow(expect.objectContaining({ code: "RUN_CHANGED" }));
  });

  it.each([
    ["slowcache", /stepCache: expected easycache, magcache/],
    ["easycache:0", /stepCache: /],
    [{ name: "easycache", start: 0.9, end: 0.1 }, /start has to be before end/],
    [{ name: "first-block", subsample: 2 }, /stepCache: /],
    ["magcache", /no published ratios for MagCache/],
    ["teacache", name === "wan" ? /no published coefficients/ : /TeaCache runs with Wan only/],
  ])("refuses %o before it reads anything", async (stepCache, message) => {
    using engine = await open();
    const bad = engine.generate({ ...clip, stepCache: stepCache as string });
    await expect(bad).rejects.toThrow(expect.objectContaining({ code: "BAD_OPTION" }));
    await expect(engine.generate({ ...clip, stepCache: stepCache as string })).rejects.toThrow(message);
  });
});
