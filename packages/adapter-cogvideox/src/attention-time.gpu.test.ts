/** LVSA's attention time over dense attention's on CogVideoX shapes: both streams, text attended by every query. */
import { FrameSparseLayout, frameSparseAttention, PatternController, resolveLvsaConfig } from "@lvsa/core";
import { timeInterleaved } from "@lvsa/core/bench";
import { attention, type Device, deviceLabel, type Tensor } from "@lvsa/runtime";
import { seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createCogVideoXAdapter } from "./cogvideox-adapter.js";

const TEXT_TOKENS = 226;
const HEAD_DIM = 64;
/** Time grows with the number of heads for both alike; the models have 30 and 48. */
const HEADS = 1;
/** 144x240 pixels; the models make 1350 tokens per frame of 480x720. */
const PATCHES = 135;
const REFERENCE = 13;

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test.each([2, 4])("at %i times the training length", async (multiple) => {
  const before = device.memory().liveBytes;
  const frames = REFERENCE * multiple;
  const tokens = frames * PATCHES;
  const made: { dispose(): void }[] = [];
  const stream = (length: number, seed: number): Tensor => {
    const values = seededNormal(length * HEADS * HEAD_DIM, seed);
    const tensor = device.upload(values, [1, length, HEADS, HEAD_DIM]);
    made.push(tensor);
    return tensor;
  };
  const video = { query: stream(tokens, 1), key: stream(tokens, 2), value: stream(tokens, 3) };
  const context = { contextKey: stream(TEXT_TOKENS, 4), contextValue: stream(TEXT_TOKENS, 5) };
  const textQuery = stream(TEXT_TOKENS, 6);
  const resolved = resolveLvsaConfig(createCogVideoXAdapter().defaults, {
    latentFrames: frames,
    patchesPerFrame: PATCHES,
    referenceLatentFrames: REFERENCE,
    temporalFactor: 4,
  });
  const { pattern } = new PatternController(resolved);
  const layout = new FrameSparseLayout(device);
  made.push(layout);
  const text = () => attention(device, { ...video, query: textQuery, ...context }).output.dispose();
  const [dense, sparse] = await timeInterleaved(device, [
    {
      name: "dense",
      run: () => {
        attention(device, { ...video, ...context }).output.dispose();
        text();
      },
    },
    {
      name: "lvsa",
      run: () => {
        frameSparseAttention(device, { ...video, ...context, pattern, layout }).output.dispose();
        text();
      },
    },
  ]);
  for (const one of made) one.dispose();
  const ratio = sparse!.milliseconds / dense!.milliseconds;
  // Text keys and text queries are whole in both.
  const all = tokens + TEXT_TOKENS;
  const pairs = (tokens * (pattern.density * tokens + TEXT_TOKENS) + TEXT_TOKENS * all) / all ** 2;
  console.log(
    `${deviceLabel(device.info)}: ${frames} x ${PATCHES} video and ${TEXT_TOKENS} text tokens, ${HEADS} head of ${HEAD_DIM}: ` +
      `dense ${dense!.milliseconds.toFixed(0)} ms, LVSA ${sparse!.milliseconds.toFixed(0)} ms, ratio ${ratio.toFixed(3)}, ` +
      `attended ${pairs.toFixed(3)} of all pairs (efficiency ${(pairs / ratio).toFixed(2)})`,
  );
  expect(device.memory().liveBytes).toBe(before);
  // Less work must be less time: the Python original has no speed-up on CogVideoX. How much less belongs to a quiet
  // machine, and to the README.
  expect(ratio).toBeLessThan(1);
});
