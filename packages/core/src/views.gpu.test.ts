/** Any operation on any view leaves the bytes around it as they were, and gives what it gives on a tensor of its own. */

import {
  activate,
  add,
  affine,
  type Device,
  type FloatDType,
  layerNorm,
  linear,
  multiply,
  rmsNorm,
  rotary,
  softmaxRows,
  type Tensor,
} from "@lvsa/runtime";
import { seededNormal, testDevice } from "@lvsa/runtime/testing";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attention } from "./attention/kernel/attention.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

type Write = (out: Tensor, other: Tensor) => void;

/** Operations that write to a tensor that is given: `out` is `[rows, channels]`, `other` the same and apart. */
const writers: Readonly<Record<string, Write>> = {
  "add, out": (out, other) => void add(device, other, other, { out }),
  "add, in place": (out, other) => void add(device, out, other, { out }),
  "multiply by a row": (out, other) => void multiply(device, other, other.rows(0, 1), { out }),
  "affine, in place": (out) => void affine(device, out, { scale: 3, shift: 1 }, { out }),
  "activate, out": (out, other) => void activate(device, other, "gelu", { out }),
  "rmsNorm, in place": (out) => void rmsNorm(device, out, { eps: 1e-6, inPlace: true }),
  "layerNorm, in place": (out) => void layerNorm(device, out, { eps: 1e-3, inPlace: true }),
  "linear, out": (out, other) => {
    const channels = out.dim(1);
    const weight = device.upload(seededNormal(channels * channels, 9), [channels, channels]);
    linear(device, other, weight, { out });
  },
  "linear, residual in place": (out, other) => {
    const channels = out.dim(1);
    const weight = device.upload(seededNormal(channels * channels, 9), [channels, channels]);
    linear(device, other, weight, { out, residual: out });
  },
  "attention, out": (out, other) => {
    const heads = (t: Tensor) => t.reshape([1, t.dim(0), 1, t.dim(1)]);
    const [query, result] = [heads(other), heads(out)];
    attention(device, { query, key: query, value: query, out: result });
  },
  "rotary, in place": (out) => {
    const [tokens, dim] = [out.dim(0), out.dim(1)];
    if (dim % 2 === 1) return;
    const angles = (seed: number) => device.upload(seededNormal((tokens * dim) / 2, seed), [tokens, dim / 2]);
    rotary(device, out.reshape([1, tokens, 1, dim]), angles(3), angles(4), { style: "half" });
  },
  "softmaxRows, in place": (out) => {
    if (out.dtype === "f32") softmaxRows(device, out);
  },
  copyBytes: (out, other) => device.copyBytes(other, out),
  write: (out) => device.write(out, seededNormal(out.size, 8)),
};

async function bytesOf(t: Tensor): Promise<number[]> {
  return [...(await device.readBytes(t))];
}

describe.each(Object.keys(writers))("%s", (name) => {
  test("on views", async () => {
    const write = writers[name]!;
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          rows: fc.integer({ min: 1, max: 5 }),
          channels: fc.integer({ min: 1, max: 10 }),
          before: fc.integer({ min: 0, max: 3 }),
          after: fc.integer({ min: 0, max: 3 }),
          dtype: fc.constantFrom<FloatDType>("f32", "f16", "bf16"),
        }),
        async ({ rows, channels, before, after, dtype }) => {
          // A view of two-byte elements begins at a whole word, or is refused: tested below.
          fc.pre(dtype === "f32" || (before * channels) % 2 === 0);
          const total = before + rows + after;
          const values = seededNormal(total * channels, 1);
          const whole = device.upload(values, [total, channels], dtype);
          const other = device.upload(seededNormal(rows * channels, 2), [rows, channels], dtype);
          const view = whole.rows(before, before + rows);
          const own = device.empty([rows, channels], dtype);
          device.write(own, values.subarray(before * channels, (before + rows) * channels));
          const was = await bytesOf(whole);
          device.scope(() => {
            write(view, other);
            write(own, other);
          });
          const is = await bytesOf(whole);
          const element = dtype === "f32" ? 4 : 2;
          const [start, end] = [before * channels * element, (before + rows) * channels * element];
          expect(is.slice(0, start), "before the view").toEqual(was.slice(0, start));
          expect(is.slice(end), "after the view").toEqual(was.slice(end));
          expect(is.slice(start, end), "the view").toEqual(await bytesOf(own));
          for (const t of [whole, other, view, own]) t.dispose();
        },
      ),
      { numRuns: 25, seed: 20260131 },
    );
  });
});

describe("bytes", () => {
  test("writes and copies that do not begin at a whole word are refused", () => {
    const t = device.zeros([9], "f16");
    const odd = t.rows(1, 4);
    expect(() => device.write(odd, [1, 2, 3])).toThrow(expect.objectContaining({ code: "UNALIGNED_VIEW" }));
    const other = device.zeros([3], "f16");
    expect(() => device.copyBytes(other, odd)).toThrow(expect.objectContaining({ code: "UNALIGNED_VIEW" }));
    expect(() => device.writeBytes(t, new Uint8Array(4), 2)).toThrow(
      expect.objectContaining({ code: "UNALIGNED_VIEW" }),
    );
    expect(() => device.writeBytes(t, new Uint8Array(20))).toThrow(/do not fit/);
    for (const tensor of [t, odd, other]) tensor.dispose();
  });

  test("parts of words: one to three bytes change, the others stay", async () => {
    const t = device.upload(
      Uint8Array.from({ length: 12 }, (_, i) => i + 1),
      [12],
      "u8",
    );
    device.writeBytes(t.rows(0, 5), Uint8Array.of(101, 102, 103, 104, 105));
    device.writeBytes(t.rows(8, 11), Uint8Array.of(109, 110, 111));
    expect(await bytesOf(t)).toEqual([101, 102, 103, 104, 105, 6, 7, 8, 109, 110, 111, 12]);
    t.dispose();
  });

  test("integers come back as they are", async () => {
    const numbers = [16_777_217, 4_294_967_295, 0];
    const t = device.upload(Uint32Array.from(numbers), [3], "u32");
    expect([...(await device.readIntegers(t))]).toEqual(numbers);
    await expect(device.read(t)).rejects.toThrow(/readIntegers|u32/);
    const signed = device.upload(Int32Array.from([-2_147_483_647]), [1], "i32");
    expect([...(await device.readIntegers(signed))]).toEqual([-2_147_483_647]);
    const floats = device.zeros([1]);
    await expect(device.readIntegers(floats)).rejects.toMatchObject({ code: "DTYPE_MISMATCH" });
    for (const tensor of [t, signed, floats]) tensor.dispose();
  });
});
