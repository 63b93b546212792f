/** Key frames rotate by the real index of a step, also where a step cache skips the steps between. */
import { join } from "node:path";
import { installLvsa } from "@lvsa/core";
import { Engine } from "@lvsa/diffusion";
import type { Device } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createWanAdapter } from "./wan-adapter.js";

const checkpoint = join(import.meta.dirname, "../../../fixtures/tiny-wan");
const STEPS = 7;
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

/** Attended frames of every frame, by the step whose attention ran with them. */
async function patterns(stepCache?: object): Promise<Map<number, string>> {
  using engine = await Engine.open(nodeFolder(checkpoint), { device, precision: "f32", registered: false });
  const heard = new Map<number, string>();
  using _lvsa = installLvsa(engine.pipeline, createWanAdapter(), {
    config: { windowSize: 4, nFirstFrames: 1, rotateKeyframes: true, referenceLatentFrames: 4 },
    onCall: ({ pattern, step }) => {
      const rows = Array.from({ length: pattern.rows }, (_, row) => [...pattern.attendedFrames(row)].join());
      heard.set(step, rows.join("; "));
    },
  });
  await engine.generate({
    ...{ prompt: "A cat.", numFrames: 41, height: 32, width: 48, seed: 3, numInferenceSteps: STEPS },
    ...(stepCache ? { stepCache: stepCache as never } : {}),
  });
  return heard;
}

test("a skipped step's turn of the key frames is not made up for", async () => {
  const whole = await patterns();
  expect([...whole.keys()]).toEqual(Array.from({ length: STEPS }, (_, i) => i));
  // It does rotate.
  expect(new Set(whole.values()).size).toBeGreaterThan(2);
  const ratios = { positive: Array.from({ length: STEPS }, () => 1) };
  const cached = await patterns({ name: "magcache", ratios, retentionRatio: 0, maxSkipSteps: 2 });
  // Ratios of 1 have no error: after a step that ran, as many as are allowed are skipped.
  expect([...cached.keys()]).toEqual([0, 3, 6]);
  for (const [step, pattern] of cached) expect(pattern, `step ${step}`).toBe(whole.get(step));
});
