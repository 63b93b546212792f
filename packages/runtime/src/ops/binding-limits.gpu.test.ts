/** Every operation with bindings far smaller than its tensors: the same numbers as in one piece. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../device/device.js";
import type { FloatDType } from "../tensor/dtype.js";
import type { Tensor } from "../tensor/tensor.js";
import { seededNormal } from "../testing/random.js";
import { relativeL2, testDevice } from "../testing.js";
import { packConvWeight } from "./conv/conv-weight.js";
import { conv3d } from "./conv/conv3d.js";
import { activate, add, affine, cast, channelAffine, clamp, multiply } from "./elementwise/elementwise.js";
import { embedding } from "./embedding/embedding.js";
import { countNotFinite } from "./finite/finite.js";
import { linear } from "./linear/linear.js";
import { groupNorm } from "./norm/group-norm.js";
import { layerNorm, rmsNorm } from "./norm/row-norm.js";
import { averagePool, resizeNearest, toRgbFrames } from "./resize/resize.js";
import { rotary } from "./rotary/rotary.js";
import { concat, pad, permute, repeatInterleave, slice, updateSlice } from "./shape/shape-ops.js";
import { softmaxRows } from "./softmax/softmax.js";

type Make = (shape: readonly number[], dtype?: FloatDType, seed?: number) => Tensor;
type Operation = (device: Device, make: Make) => Tensor;

const SUMS = /^(linear|conv3d|rmsNorm|layerNorm|groupNorm)/;

const inPlace = (x: Tensor, change: (x: Tensor) => void): Tensor => {
  change(x);
  return x;
};

/** Each works on tensors of some 200 kB. */
const operations: Record<string, Operation> = {
  linear: (device, make) =>
    linear(device, make([800, 64]), make([72, 64], "bf16"), { bias: make([72]), residual: make([800, 72]) }),
  "linear, a weight above the limit": (device, make) =>
    linear(device, make([3, 256]), make([900, 256], "f16")),
  conv3d: (device, make) => {
    const weight = packConvWeight(device, make([8, 8, 3, 3, 3]));
    const padding = { time: [2, 0], height: [1, 1], width: [1, 1] } as const;
    return conv3d(device, make([1, 4, 40, 36, 8]), weight, { padding, bias: make([8]) });
  },
  rmsNorm: (device, make) => rmsNorm(device, make([900, 64]), { weight: make([64]), eps: 1e-6 }),
  layerNorm: (device, make) =>
    layerNorm(device, make([900, 64]), { weight: make([64]), bias: make([64]), eps: 1e-6 }),
  groupNorm: (device, make) =>
    groupNorm(device, make([1, 3, 30, 20, 32]), {
      groups: 4,
      weight: make([32]),
      bias: make([32]),
      eps: 1e-6,
    }),
  embedding: (device, make) =>
    embedding(
      device,
      make([999, 60], "f16"),
      Int32Array.from({ length: 700 }, (_, i) => (i * 131) % 999),
    ),
  rotary: (device, make) =>
    inPlace(make([1, 400, 4, 32]), (x) =>
      rotary(device, x, make([400, 16]), make([400, 16], "f32", 9), { style: "half" }),
    ),
  "rotary of some tokens, tables above the limit": (device, make) =>
    inPlace(make([2, 700, 2, 32], "f16"), (x) => {
      const tables = [make([680, 16]), make([690, 16], "f32", 9)] as const;
      rotary(device, x, ...tables, { style: "interleaved", start: 7, end: 650 });
    }),
  softmaxRows: (device, make) => inPlace(make([600, 90]), (x) => softmaxRows(device, x, 0.3)),
  "add and multiply": (device, make) =>
    multiply(device, add(device, make([900, 64]), make([64])), make([900, 64])),
  "affine, activate, clamp, cast": (device, make) =>
    cast(
      device,
      clamp(device, activate(device, affine(device, make([901, 63]), { scale: 3, shift: 1 }), "silu"), -1, 2),
      "bf16",
    ),
  channelAffine: (device, make) =>
    channelAffine(device, make([900, 64], "f16"), make([64]), make([64], "f32", 2)),
  "permute f32": (device, make) => permute(device, make([1, 30, 40, 48]), [0, 3, 1, 2]),
  "permute f16": (device, make) => permute(device, make([4, 90, 120, 2], "f16"), [3, 0, 2, 1]),
  "permute f16, odd inner axis of the input": (device, make) =>
    permute(device, make([90, 300, 3], "f16"), [2, 1, 0]),
  "slice, one row longer than a window": (device, make) =>
    slice(device, make([3, 20_001], "f16"), 1, 1, 19_999),
  concat: (device, make) => concat(device, [make([70, 400]), make([70, 300], "f32", 2)], 1),
  updateSlice: (device, make) =>
    inPlace(make([60, 40, 32], "f16"), (x) => updateSlice(device, x, 1, 8, make([60, 16, 32], "f16", 2))),
  "pad bf16": (device, make) => pad(device, make([50, 60, 32], "bf16"), 1, 2, 1),
  repeatInterleave: (device, make) => repeatInterleave(device, make([40, 30, 32]), 1, 2),
  "resizeNearest, frames above the limit": (device, make) =>
    resizeNearest(device, make([2, 2, 50, 40, 16]), [3, 100, 80]),
  "resizeNearest, odd lines of f16": (device, make) =>
    resizeNearest(device, make([1, 1, 151, 111, 3], "f16"), [2, 203, 155], { exact: true }),
  "resizeNearest to a smaller size": (device, make) =>
    resizeNearest(device, make([1, 2, 100, 60, 8]), [2, 33, 20]),
  "averagePool, frames far apart": (device, make) =>
    averagePool(device, make([1, 4, 60, 40, 8]), { time: 2, height: 2, width: 4 }),
  "averagePool, one frame": (device, make) =>
    averagePool(device, make([1, 1, 120, 80, 6], "f16"), { height: 3, width: 2 }),
  toRgbFrames: (device, make) => toRgbFrames(device, make([1, 2, 90, 70, 3])),
};

describe("with small bindings", () => {
  let device: Device;
  let info: Device["info"];
  beforeAll(async () => {
    device = await testDevice();
    info = device.info;
  });
  afterAll(() => device.dispose());

  const limitTo = (bytes: number | undefined) =>
    Object.defineProperty(device, "info", {
      configurable: true,
      value:
        bytes === undefined
          ? info
          : { ...info, limits: { ...info.limits, maxStorageBufferBindingSize: bytes } },
    });
  const make: Make = (shape, dtype = "f32", seed = 1) => {
    const count = shape.reduce((a, b) => a * b, 1);
    return device.upload(seededNormal(count, seed + count), shape, dtype);
  };
  /** The result, and how many bindings its tensor would need. */
  async function run(operation: Operation, limit: number | undefined): Promise<Float32Array> {
    try {
      const y = device.scope(() => {
        limitTo(undefined);
        return operation(limited(limit), make);
      });
      limitTo(undefined);
      return await device.read(y);
    } finally {
      limitTo(undefined);
    }
  }
  /** Inputs are made without the limit: writing them is no operation. */
  const limited = (limit: number | undefined): Device => {
    limitTo(limit);
    return device;
  };

  test.each(Object.entries(operations))("%s", async (title, operation) => {
    const whole = await run(operation, undefined);
    for (const limit of [65_536, 24_576, 16_384]) {
      const parts = await run(operation, limit);
      const differs = `bindings of ${limit} bytes`;
      // Parts of a product or a mean may take another kernel, which sums in another order. The rest is the same.
      if (SUMS.test(title)) expect(relativeL2(parts, whole), differs).toBeLessThan(1e-6);
      else expect(parts, differs).toEqual(whole);
    }
  });

  test("countNotFinite", async () => {
    const x = device.upload(
      Float32Array.from({ length: 50_000 }, (_, i) => (i % 5000 ? i : Number.NaN)),
      [50_000],
      "f32",
    );
    limitTo(65_536);
    expect(await countNotFinite(device, x)).toBe(10);
    limitTo(undefined);
  });

  test("moving elements says when bindings are too small for anything", () => {
    const x = make([64, 64]);
    limitTo(64);
    expect(() => permute(device, x, [1, 0])).toThrow("needs bindings of more than");
    limitTo(undefined);
  });
});
