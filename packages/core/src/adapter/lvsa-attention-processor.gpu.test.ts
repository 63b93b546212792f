/** The processor with steps of a host's own: finished Q, K and V, and what attention gives as the result. */
import { concat, type Device, type Tensor } from "@lvsa/runtime";
import { relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { attention } from "../attention/kernel/attention.js";
import type { LvsaConfigInput } from "../config.js";
import type { KeyValue } from "../contract/attention-processor.js";
import type { FallbackEvent } from "./fallback.js";
import type { LayerSteps, LvsaCall, Qkv } from "./layer-steps.js";
import { LvsaAttentionProcessor } from "./lvsa-attention-processor.js";

const [FRAMES, PATCHES, TEXT, HEADS, DIM] = [6, 4, 5, 2, 16];
let device: Device;

beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

interface Call extends LvsaCall {
  readonly qkv: Qkv;
}

const steps: LayerSteps<Call, Tensor> = {
  family: "test",
  extractQkv: ({ qkv }) => qkv,
  applyRotary() {},
  formatOutput: (_call, hidden) => hidden,
};

const random = (tokens: number, seed: number) =>
  device.upload(seededNormal(tokens * HEADS * DIM, seed), [1, tokens, HEADS, DIM]);

function makeCall(): Call {
  const tokens = FRAMES * PATCHES;
  return {
    device,
    hiddenStates: device.upload(new Float32Array(tokens), [1, tokens, 1]),
    geometry: { latentFrames: FRAMES, patchesPerFrame: PATCHES },
    qkv: { query: random(tokens, 1), key: random(tokens, 2), value: random(tokens, 3) },
  };
}

const makeProcessor = (onFallback?: (event: FallbackEvent) => void, config: LvsaConfigInput = {}) =>
  new LvsaAttentionProcessor(steps, {
    referenceLatentFrames: FRAMES,
    temporalFactor: 1,
    config: { windowSize: FRAMES, nFirstFrames: 0, keyFrameInterval: 0, autoKeyframes: false, ...config },
    ...(onFallback ? { onFallback } : {}),
  });

const dense = (): Tensor => {
  throw new Error("the call ran dense");
};

test("every query sees the call's context besides its frames", async () => {
  using processor = makeProcessor();
  const call = makeCall();
  const context: KeyValue = { key: random(TEXT, 4), value: random(TEXT, 5) };
  const { query, key, value } = call.qkv;
  const expected = attention(device, {
    query,
    key: concat(device, [key, context.key], 1),
    value: concat(device, [value, context.value], 1),
  }).output;
  const wanted = await device.read(expected);
  const seen = await device.read(processor.process({ ...call, context }, dense));
  // The same f32 sums in another order.
  expect(relativeL2(seen, wanted)).toBeLessThan(1e-5);
  const without = await device.read(processor.process(call, dense));
  expect(relativeL2(without, wanted)).toBeGreaterThan(1e-2);
});

test("frames whose content is given are seen by every query, unless the settings say no", async () => {
  const call = makeCall();
  const { query, key, value } = call.qkv;
  const geometry = { ...call.geometry!, conditionFrames: [1, 5] };
  const frames = (tensor: Tensor, ...numbers: number[]) =>
    concat(
      device,
      numbers.map((frame) =>
        tensor
          .reshape([FRAMES * PATCHES, HEADS, DIM])
          .rows(frame * PATCHES, (frame + 1) * PATCHES)
          .reshape([1, PATCHES, HEADS, DIM]),
      ),
      1,
    );
  // One leading frame and no window: the last frame's queries see frames 0, 1 and 5.
  const seenBy = async (...numbers: number[]) =>
    device.read(
      attention(device, {
        query: frames(query, 5),
        key: frames(key, ...numbers),
        value: frames(value, ...numbers),
      }).output,
    );
  const run = async (config: LvsaConfigInput, given: Call) => {
    using processor = makeProcessor(undefined, { windowSize: 0, nFirstFrames: 1, ...config });
    const out = await device.read(processor.process(given, dense));
    return out.subarray(5 * PATCHES * HEADS * DIM);
  };
  // The same f32 sums in another order.
  expect(relativeL2(await run({}, { ...call, geometry }), await seenBy(0, 1, 5))).toBeLessThan(1e-5);
  expect(relativeL2(await run({}, call), await seenBy(0))).toBeLessThan(1e-5);
  const off = await run({ globalConditionFrames: false }, { ...call, geometry });
  expect(relativeL2(off, await seenBy(0))).toBeLessThan(1e-5);
});

test("a schedule keeps steps dense, without a fallback, and hears of every call", () => {
  const events: FallbackEvent[] = [];
  const denseSteps: string[] = [];
  const sparseSteps: number[] = [];
  const lines: string[] = [];
  using processor = new LvsaAttentionProcessor(steps, {
    ...{ referenceLatentFrames: FRAMES, temporalFactor: 1 },
    config: { windowSize: 1, nFirstFrames: 1, schedule: [{ steps: [1, 2], attention: "dense" }] },
    strict: true,
    log: (line) => lines.push(line),
    onFallback: (event) => events.push(event),
    onCall: ({ step }) => sparseSteps.push(step),
    onScheduledDense: ({ step, sequenceLength, generation }) => {
      expect(sequenceLength).toBe(FRAMES * PATCHES);
      denseSteps.push(`${generation}.${step}`);
    },
  });
  const call = makeCall();
  const own: Tensor = call.qkv.value;
  for (let index = 0; index < 4; index++) {
    const output = processor.process({ ...call, step: { index, count: 4, generation: 7 } }, () => own);
    expect(output === own).toBe(index === 1 || index === 2);
  }
  expect([denseSteps, sparseSteps, events, lines]).toEqual([["7.1", "7.2"], [0, 3], [], []]);
  processor.process({ ...call, step: { index: 0, count: 2, generation: 8 } }, () => own);
  processor.process({ ...call, step: { index: 1, count: 2, generation: 8 } }, () => own);
  const line = "[LVSA] Warning: the schedule's steps 1-2 reach beyond the 2 steps of this generation";
  expect(lines).toEqual([line]);
  expect(() => processor.process(call, () => own)).toThrow(expect.objectContaining({ code: "NO_STEP" }));
});

test("a context beside joint text runs dense, with the reason", () => {
  const events: FallbackEvent[] = [];
  using processor = makeProcessor((event) => events.push(event));
  const call = makeCall();
  const context: KeyValue = { key: random(TEXT, 4), value: random(TEXT, 5) };
  const both = { ...call, context, encoderHiddenStates: call.hiddenStates };
  expect(processor.process(both, ({ qkv }) => qkv.query)).toBe(call.qkv.query);
  expect(events).toMatchObject([{ reason: "unsupported_call", details: { context: true } }]);
});
