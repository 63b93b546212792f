import { readFileSync } from "node:fs";
import { type AttentionPattern, PatternController, resolveLvsaConfig } from "@lvsa/core";
import type { Device } from "@lvsa/runtime";
import { relativeL2, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CLIP, main } from "./foreign-host.js";
import { PEBBLE, pebbleNoise, pebbleWeights, TRAINED_FRAMES } from "./pebble-engine.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

/** Pebble in float64 on the CPU; with a pattern, queries see its frames only. */
function reference(patternOf: (step: number) => AttentionPattern | undefined): Float64Array {
  const { layers, heads, headDim, channels } = PEBBLE;
  const x = Float64Array.from(pebbleNoise(CLIP));
  const tokens = x.length / channels;
  for (let step = 0; step < CLIP.steps; step++) {
    const pattern = patternOf(step);
    for (let layer = 0; layer < layers; layer++) {
      const w = pebbleWeights(layer);
      const attended = new Float64Array(x.length);
      for (let query = 0; query < tokens; query++) {
        const frames = pattern?.attendedFrames(Math.floor(query / CLIP.patchesPerFrame));
        const keys = Array.from({ length: tokens }, (_, key) => key).filter(
          (key) => !frames || frames.includes(Math.floor(key / CLIP.patchesPerFrame)),
        );
        for (let head = 0; head < heads; head++) {
          const at = (token: number, d: number) => token * channels + head * headDim + d;
          const scores = keys.map((key) => {
            let sum = 0;
            for (let d = 0; d < headDim; d++) {
              const c = head * headDim + d;
              sum += x[at(query, d)]! * w[c]! * x[at(key, d)]! * w[channels + c]!;
            }
            return sum / Math.sqrt(headDim);
          });
          const highest = Math.max(...scores);
          const weights = scores.map((score) => Math.exp(score - highest));
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          for (let d = 0; d < headDim; d++) {
            let sum = 0;
            for (const [i, key] of keys.entries()) sum += weights[i]! * x[at(key, d)]!;
            attended[at(query, d)] = (sum / total) * w[2 * channels + head * headDim + d]!;
          }
        }
      }
      for (let i = 0; i < x.length; i++) x[i] = 0.5 * (x[i]! + attended[i]!);
    }
  }
  return x;
}

/** f32 against float64 over 6 layers of softmax: a few 1e-7, with room. */
const CLOSE = 2e-6;

test("one variable makes the engine sparse; without it everything is as it was", async () => {
  const lines: string[] = [];
  const logger = (line: string) => lines.push(line);
  const dense = await main(device.gpu, { env: {}, logger });
  expect(lines).toEqual([]);
  expect(
    relativeL2(
      dense,
      reference(() => undefined),
    ),
  ).toBeLessThan(CLOSE);

  const sparse = await main(device.gpu, { env: { LVSA_WAN_HOOK: "1" }, logger });
  const controller = new PatternController(
    resolveLvsaConfig({}, { ...CLIP, referenceLatentFrames: TRAINED_FRAMES, temporalFactor: 4 }),
  );
  const expected = reference((step) => {
    controller.setStep(step);
    return controller.pattern;
  });
  expect(relativeL2(sparse, expected)).toBeLessThan(CLOSE);
  expect(relativeL2(sparse, dense)).toBeGreaterThan(1e-3);
  expect(lines).toEqual([
    "[LVSA-hook] Installed LVSA hook on WanSelfAttention (T_lat=auto, sparsity_scale=1.0)",
    expect.stringMatching(/^\[LVSA\] engaged \(wan\): T_lat=24 P=6 seq_len=144 .* -> SPARSE$/),
  ]);
});

test("it depends on @lvsa/core and @lvsa/hooks only", () => {
  const manifest = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8")) as {
    dependencies: Record<string, string>;
  };
  expect(Object.keys(manifest.dependencies).filter((name) => name.startsWith("@lvsa/"))).toEqual([
    "@lvsa/core",
    "@lvsa/hooks",
  ]);
});
