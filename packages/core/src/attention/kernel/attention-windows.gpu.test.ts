/** Attention with bindings far smaller than its tensors: the same numbers as in one piece. */
import type { Device } from "@lvsa/runtime";
import { maxAbsolute, relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { attention } from "./attention.js";
import { type AttentionCase, attentionCase, type CaseSize } from "./attention-cases.js";
import type { AttentionInput } from "./attention-input.js";
import { AttentionLayout, type AttentionRow } from "./attention-layout.js";

let device: Device;
let info: Device["info"];
beforeAll(async () => {
  device = await testDevice();
  info = device.info;
});
afterAll(() => device.dispose());

function limitTo(bytes: number | undefined): void {
  const limits = bytes === undefined ? info.limits : { ...info.limits, maxStorageBufferBindingSize: bytes };
  Object.defineProperty(device, "info", { configurable: true, value: { ...info, limits } });
}

const FRAMES = 6;
/** The last frame has no row: its queries keep what `out` held. */
const rowsOf = (patches: number): AttentionRow[] =>
  [[0, 1, 2], [5], [0, 2, 4], [], [3, 0, 5]].map((list, f) => ({
    queryStart: f * patches,
    queryEnd: (f + 1) * patches,
    ranges: list.map((k) => [k * patches, (k + 1) * patches] as const),
    ...(f === 1 ? { contextEnd: 2 } : {}),
  }));

interface Case {
  readonly size: CaseSize;
  /** Bytes of a binding. */
  readonly limits: readonly number[];
  readonly more?: (device: Device, c: AttentionCase) => Partial<AttentionInput>;
}

const layout = (patches: number) => (one: Device) => ({
  layout: AttentionLayout.build(one, rowsOf(patches)),
});

// f32 heads of 32: a token is 128 bytes a head.
const cases: Record<string, Case> = {
  "many queries of few keys: windows of queries": {
    size: { queries: 300, keys: 20, heads: 2, context: 3 },
    limits: [32_768, 8192],
  },
  "dense: groups of heads": { size: { queries: 150, heads: 8 }, limits: [131_072, 32_768, 19_200] },
  "batch entries": { size: { queries: 60, heads: 4, batch: 3, context: 5 }, limits: [65_536, 16_384] },
  "frames and context": {
    size: { queries: FRAMES * 37, heads: 4, context: 7 },
    limits: [65_536, 28_416],
    more: layout(37),
  },
  "frames, windows that end within a frame": {
    size: { queries: FRAMES * 37, keys: FRAMES * 37, heads: 6, kvHeads: 1, context: 7 },
    limits: [65_536, 28_416],
    more: layout(37),
  },
  "grouped queries: a group of heads and windows of its queries": {
    size: { queries: 200, keys: 120, heads: 8, kvHeads: 2, batch: 2 },
    limits: [65_536, 16_384],
  },
  "odd heads, padded": { size: { queries: 90, heads: 3, headDim: 10, context: 4 }, limits: [8192] },
  "f16 stored as it is": {
    size: { queries: 200, keys: 150, heads: 4, headDim: 64, dtype: "f16" },
    limits: [65_536, 32_768],
  },
  "key masks of each entry": {
    size: { queries: 130, keys: 60, heads: 3, batch: 2, context: 3 },
    limits: [32_768, 8192],
    more: () => ({ keyMask: Uint8Array.from({ length: 120 }, (_, i) => Number(i % 7 < 3 && i < 90)) }),
  },
  "a causal mask": {
    size: { queries: 150, heads: 4, kvHeads: 1 },
    limits: [32_768, 19_200],
    more: () => ({ causal: true }),
  },
  "relative bias above the limit, causal": {
    size: { queries: 100, keys: 110, heads: 6, kvHeads: 1 },
    limits: [16_384],
    more: (one) => ({ causal: true, relativeBias: one.upload(seededNormal(6 * 209, 8), [6, 209]) }),
  },
  "relative bias of windows of queries": {
    size: { queries: 130, keys: 50, heads: 4, kvHeads: 2 },
    limits: [16_384],
    more: (one) => ({ relativeBias: one.upload(seededNormal(4 * 179, 8), [4, 179]) }),
  },
};

describe("with small bindings", () => {
  test.each(Object.entries(cases))("%s", async (_, { size, limits, more }) => {
    const c = attentionCase(device, size);
    const options = more?.(device, c) ?? {};
    const run = async (limit: number | undefined) => {
      const out = device.upload(new Float32Array(c.tensors.query.size).fill(7), c.tensors.query.shape);
      const dispatch = vi.spyOn(device, "dispatch");
      limitTo(limit);
      try {
        const result = attention(device, { ...c.tensors, ...options, out, returnLogSumExp: true });
        const pieces = dispatch.mock.calls.filter(([{ kernel }]) => kernel.name === "attention").length;
        limitTo(undefined);
        const [output, logSumExp] = [await device.read(result.output), await device.read(result.logSumExp!)];
        for (const t of [result.output, result.logSumExp!]) t.dispose();
        return { output, logSumExp, pieces };
      } finally {
        limitTo(undefined);
        dispatch.mockRestore();
      }
    };
    const whole = await run(undefined);
    // Sums of queries outside of every row are whatever the memory held.
    const seen = (sums: Float32Array) =>
      options.layout ? sums.subarray(0, (sums.length / FRAMES) * (FRAMES - 1)) : sums;
    for (const limit of limits) {
      const parts = await run(limit);
      const told = `bindings of ${limit} bytes`;
      expect(parts.pieces, told).toBeGreaterThan(whole.pieces);
      // A kernel may share a step of its softmax between the queries of a tile, and tiles begin elsewhere.
      expect(relativeL2(parts.output, whole.output), told).toBeLessThan(1e-6);
      expect(maxAbsolute(seen(parts.logSumExp), seen(whole.logSumExp)), told).toBeLessThan(1e-5);
    }
    if (options.layout) {
      const rest = whole.output.subarray((whole.output.length / FRAMES) * (FRAMES - 1));
      expect(rest.every((v) => v === 7)).toBe(true);
    }
    options.layout?.dispose();
    options.relativeBias?.dispose();
    c.dispose();
  });

  test("a rewritten layout has other windows", async () => {
    const patches = 40;
    const c = attentionCase(device, { queries: FRAMES * patches, heads: 2, kvHeads: 1, context: 2 });
    const rows = rowsOf(patches);
    const changing = AttentionLayout.build(device, rows.slice(0, 2));
    for (const now of [rows.slice(0, 2), rows]) {
      changing.update(now);
      const fresh = AttentionLayout.build(device, now);
      const out = () => device.zeros(c.tensors.query.shape);
      const whole = attention(device, { ...c.tensors, layout: fresh, out: out() }).output;
      limitTo(32_768);
      const parts = attention(device, { ...c.tensors, layout: changing, out: out() }).output;
      limitTo(undefined);
      expect(relativeL2(await device.read(parts), await device.read(whole))).toBeLessThan(1e-6);
      for (const t of [whole, parts, fresh]) t.dispose();
    }
    changing.dispose();
    c.dispose();
  });

  test("refuses keys of which one head exceeds a binding, by name", () => {
    const c = attentionCase(device, { queries: 40, keys: 200, heads: 2 });
    limitTo(16_384);
    try {
      expect(() => attention(device, c.tensors)).toThrow(
        expect.objectContaining({
          code: "BINDING_TOO_LARGE",
          message: expect.stringMatching(/one head of the keys .* 25600 bytes/),
        }),
      );
    } finally {
      limitTo(undefined);
    }
    c.dispose();
  });
});
