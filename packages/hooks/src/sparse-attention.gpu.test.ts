/** What a call carries is honoured: scale, masks, causal layers, text. */
import { attention } from "@lvsa/core";
import type { Device, Tensor } from "@lvsa/runtime";
import { maxAbsolute, relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type HookEvent,
  HookLog,
  type HookSettings,
  SparseAttention,
  type SparseAttentionCall,
} from "./index.js";

const [FRAMES, PATCHES, HEADS, DIM] = [12, 4, 2, 8] as const;
const TOKENS = FRAMES * PATCHES;
const GEOMETRY = { latentFrames: FRAMES, patchesPerFrame: PATCHES };

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

const random = (tokens: number, seed: number): Tensor =>
  device.upload(seededNormal(tokens * HEADS * DIM, seed), [1, tokens, HEADS, DIM]);

function setUp(settings: HookSettings, referenceLatentFrames = 5) {
  const events: HookEvent[] = [];
  const sparse = new SparseAttention({
    family: "wan",
    origin: "wan_hook",
    counter: "hook",
    settings: { windowSize: 4, ...settings },
    model: { referenceLatentFrames, temporalFactor: 4 },
    log: new HookLog({ onEvent: (event) => events.push(event) }),
  });
  return { sparse, events };
}

const call = (more: Partial<SparseAttentionCall> = {}): SparseAttentionCall => ({
  layer: 0,
  query: random(TOKENS, 1),
  key: random(TOKENS, 2),
  value: random(TOKENS, 3),
  geometry: GEOMETRY,
  step: { index: 0, generation: 1 },
  ...more,
});

/** f32 sums of the same kernel in another order. */
const CLOSE = 1e-6;

describe("SparseAttention", () => {
  it("uses the layer's own softmax scale", async () => {
    // Within the training length the pattern is dense, so that dense attention is the reference.
    const { sparse } = setUp({}, FRAMES);
    const given = call({ scale: 0.9 });
    const out = await device.read(sparse.attend(device, given)!);
    const dense = await device.read(attention(device, { ...given, scale: 0.9 }).output);
    const unscaled = await device.read(
      attention(device, { query: given.query, key: given.key, value: given.value }).output,
    );
    expect(relativeL2(out, dense)).toBeLessThan(CLOSE);
    expect(relativeL2(out, unscaled)).toBeGreaterThan(0.1);
    sparse.dispose();
  });

  it("attends to text always: in the sequence or beside it, with the same result", async () => {
    const { sparse } = setUp({});
    const given = call();
    const text = { query: random(5, 7), key: random(5, 8), value: random(5, 9) };
    const beside = await device.read(
      sparse.attend(device, { ...given, contextKey: text.key, contextValue: text.value })!,
    );
    const join = async (video: Tensor, more: Tensor) => {
      const values = [...(await device.read(video)), ...(await device.read(more))];
      return device.upload(values, [1, TOKENS + 5, HEADS, DIM]);
    };
    const joined = {
      query: await join(given.query, text.query),
      key: await join(given.key, text.key),
      value: await join(given.value, text.value),
    };
    const inside = await device.read(sparse.attend(device, { ...given, ...joined, textTokens: 5 })!);
    expect(maxAbsolute(inside.slice(0, beside.length), beside)).toBeLessThan(CLOSE);
    // Text queries see everything, densely.
    const dense = await device.read(attention(device, joined).output);
    expect(relativeL2(inside.slice(beside.length), dense.slice(beside.length))).toBeLessThan(CLOSE);
    expect(relativeL2(inside, dense)).toBeGreaterThan(0.01);
    sparse.dispose();
  });

  it.each<[string, Partial<SparseAttentionCall>, object]>([
    ["a mask that hides keys", { keyMask: new Uint8Array(TOKENS).fill(1, 4) }, { mask: true }],
    ["a causal layer", { causal: true }, { causal: true }],
  ])("%s is the host's to compute, with a reason", (_, more, details) => {
    const { sparse, events } = setUp({});
    expect(sparse.attend(device, call(more))).toBeUndefined();
    expect(events).toMatchObject([
      { type: "fallback", reason: "unsupported_call", origin: "wan_hook", details },
    ]);
    expect(() => setUp({ strict: true }).sparse.attend(device, call(more))).toThrow(
      expect.objectContaining({ code: "DENSE_FALLBACK" }),
    );
    sparse.dispose();
  });

  it("takes a mask that hides nothing, and leaves cross attention alone without a word", () => {
    const { sparse, events } = setUp({});
    expect(sparse.attend(device, call({ keyMask: new Uint8Array(TOKENS).fill(1) }))).toBeDefined();
    expect(sparse.attend(device, call({ key: random(7, 1), value: random(7, 2) }))).toBeUndefined();
    expect(events.map(({ type }) => type)).toEqual(["engaged"]);
    sparse.dispose();
  });
});
