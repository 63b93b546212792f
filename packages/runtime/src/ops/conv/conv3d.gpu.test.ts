import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../device/device.js";
import { fixedSubgroupSize } from "../../device/device-info.js";
import type { FloatDType } from "../../tensor/dtype.js";
import { poisonMemory } from "../../testing/poison.js";
import { canRun, relativeL2, seededNormal, testDevice } from "../../testing.js";
import { activationReference } from "../elementwise/elementwise.reference.js";
import { convFamily } from "./conv-family.js";
import { CONV_MATRIX_TILES, CONV_TILES, type ConvVariant } from "./conv-variant.js";
import { packConvWeight } from "./conv-weight.js";
import { type Conv3dOptions, conv3d } from "./conv3d.js";
import { conv3dReference } from "./conv3d.reference.js";

/** f32: sums of up to a few thousand products. f16, bf16: half a unit of what is stored. */
const TOLERANCE: Record<FloatDType, number> = { f32: 2e-6, f16: 5e-4, bf16: 4e-3 };
type Five = readonly [number, number, number, number, number];
type Pair = readonly [number, number];

interface Case {
  readonly name: string;
  readonly x: Five;
  readonly w: Five;
  readonly stride?: readonly [number, number, number];
  readonly time?: Pair;
  readonly height?: Pair;
  readonly width?: Pair;
  readonly padTime?: "zeros" | "replicate";
  readonly padSpace?: "zeros" | "replicate";
  readonly history?: number;
}

const SAME = { time: [2, 0], height: [1, 1], width: [1, 1] } as const;
const CASES: readonly Case[] = [
  { name: "one element", x: [1, 1, 1, 1, 1], w: [1, 1, 1, 1, 1] },
  { name: "Wan causal, first chunk", x: [1, 1, 5, 7, 8], w: [12, 8, 3, 3, 3], ...SAME },
  { name: "Wan causal, one cached frame", x: [1, 2, 5, 7, 8], w: [12, 8, 3, 3, 3], ...SAME, history: 1 },
  { name: "Wan causal, two cached frames", x: [1, 4, 5, 7, 8], w: [20, 8, 3, 3, 3], ...SAME, history: 2 },
  {
    name: "Wan spatial downsampling",
    x: [1, 3, 8, 10, 12],
    w: [12, 12, 1, 3, 3],
    stride: [1, 2, 2],
    height: [0, 1],
    width: [0, 1],
  },
  {
    name: "Wan temporal downsampling",
    x: [1, 4, 3, 3, 8],
    w: [8, 8, 3, 1, 1],
    stride: [2, 1, 1],
    history: 1,
  },
  { name: "Wan temporal upsampling", x: [1, 2, 3, 3, 8], w: [16, 8, 3, 1, 1], time: [2, 0], history: 2 },
  { name: "RGB in", x: [1, 2, 6, 5, 3], w: [16, 3, 3, 3, 3], ...SAME },
  { name: "RGB out", x: [1, 3, 6, 5, 8], w: [3, 8, 3, 3, 3], ...SAME, history: 2 },
  { name: "5 to 6 channels, batch of 2", x: [2, 2, 3, 9, 5], w: [6, 5, 3, 3, 3], ...SAME, history: 2 },
  {
    name: "HunyuanVideo 1.5: replicate everywhere",
    x: [1, 3, 4, 5, 8],
    w: [8, 8, 3, 3, 3],
    ...SAME,
    padTime: "replicate",
    padSpace: "replicate",
  },
  {
    name: "CogVideoX: first frame repeated in time, zeros in space",
    x: [2, 3, 4, 5, 8],
    w: [8, 8, 3, 3, 3],
    ...SAME,
    padTime: "replicate",
  },
  {
    name: "CogVideoX: cached frames",
    x: [1, 2, 4, 5, 8],
    w: [8, 8, 3, 3, 3],
    ...SAME,
    padTime: "replicate",
    history: 2,
  },
  {
    name: "replicate beyond a short history",
    x: [1, 2, 4, 5, 4],
    w: [4, 4, 3, 3, 3],
    ...SAME,
    padTime: "replicate",
    history: 1,
  },
  { name: "padding on both ends of time", x: [1, 4, 5, 5, 4], w: [4, 4, 3, 3, 3], time: [1, 1] },
  { name: "output frames of padding only", x: [1, 1, 3, 3, 4], w: [4, 4, 1, 1, 1], time: [2, 2] },
  { name: "tails of tiles", x: [1, 2, 13, 11, 36], w: [70, 36, 1, 3, 3], height: [1, 1], width: [1, 1] },
  { name: "pointwise", x: [2, 2, 3, 5, 12], w: [9, 12, 1, 1, 1] },
];

describe("conv3d", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });
  afterAll(() => device.dispose());

  async function run(c: Case, dtype: FloatDType, options: Partial<Conv3dOptions> = {}, extras = false) {
    const size = (s: readonly number[]) => s.reduce((a, b) => a * b, 1);
    const upload = async (shape: readonly number[], seed: number, as: FloatDType = dtype) => {
      const t = device.upload(seededNormal(size(shape), seed), shape, as);
      return { t, values: await device.read(t) };
    };
    const x = await upload(c.x, 1);
    const w = await upload(c.w, 2);
    const bias = await upload([c.w[0]], 3);
    const history = c.history ? await upload(c.x.with(1, c.history), 4) : undefined;
    const none: Pair = [0, 0];
    const [time, height, width] = [c.time ?? none, c.height ?? none, c.width ?? none] as const;
    const reference = conv3dReference({
      x: x.values,
      shape: c.x,
      weight: w.values,
      weightShape: c.w,
      bias: bias.values,
      stride: c.stride ?? [1, 1, 1],
      time,
      height,
      width,
      padTime: c.padTime ?? "zeros",
      padSpace: c.padSpace ?? "zeros",
      history: history?.values,
      historyFrames: c.history ?? 0,
    });
    const residual = extras ? await upload(reference.shape, 5) : undefined;
    const expected = extras
      ? reference.values.map((v, i) => activationReference(v, "silu") + residual!.values[i]!)
      : reference.values;
    const weight = packConvWeight(device, w.t);
    poisonMemory(device, reference.shape, options.outDtype ?? dtype);
    poisonMemory(device, reference.shape, "f32");
    const before = device.memory().liveTensors;
    const y = conv3d(device, x.t, weight, {
      bias: bias.t,
      padding: { time, height, width },
      ...(c.stride ? { stride: c.stride } : {}),
      padMode: { time: c.padTime ?? "zeros", space: c.padSpace ?? "zeros" },
      history: history?.t,
      ...(extras ? { activation: "silu", residual: residual!.t } : {}),
      ...options,
    });
    expect(device.memory().liveTensors, "nothing but the result is left").toBe(before + 1);
    expect(y.shape).toEqual(reference.shape);
    const got = await device.read(y);
    const label = `${c.name}, ${dtype} ${JSON.stringify(options.tuning ?? {})}`;
    expect(relativeL2(got, expected), label).toBeLessThan(TOLERANCE[y.dtype as FloatDType]);
    for (const t of [x, w, bias, history, residual]) t?.t.dispose();
    y.dispose();
    weight.dispose();
    return got;
  }

  describe.each(CASES)("$name", (c) => {
    test.each(["f32", "f16"] as const)("%s on the device's kernel", async (dtype) => {
      await run(c, dtype);
    });
    test("on the portable kernel, with activation and residual", async () => {
      await run(c, "f32", { tuning: { rule: "tile" } }, true);
    });
    test("in parts that fit small bindings", async () => {
      // The smallest that holds a row of input, of output and a weight row.
      const row = 4 * Math.max(c.x[3] * 4 * Math.ceil(c.x[4] / 4) * 4, 12 * c.x[3] * c.w[0], c.w[1] * 27 * 4);
      await run(c, "f32", { tuning: { maxBindingBytes: Math.max(row, 1024) } }, true);
    });
  });

  test("bf16 inputs and weights, f32 out, and f16 parts", async () => {
    const c = CASES.find((k) => k.name.includes("two cached"))!;
    await run(c, "bf16", { outDtype: "f32" }, true);
    await run(c, "f16", { tuning: { maxBindingBytes: 2048 } }, true);
  });

  test("every kernel gives the same result", async () => {
    const c = CASES.find((k) => k.name === "tails of tiles")!;
    const variants: ConvVariant[] = Object.values(CONV_TILES);
    const size = fixedSubgroupSize(device.info);
    if (size === undefined) console.log("subgroup kernels not run: no fixed subgroup size");
    else {
      variants.push({ kind: "lanes", size, blocksM: 1, blocksN: 1 });
      variants.push({ kind: "lanes", size, blocksM: 2, blocksN: 2 });
    }
    for (const variant of variants) await run(c, "f32", { tuning: { variant } });
  });

  test("f16 through workgroup memory loses nothing of operands that are f16", async () => {
    if (!canRun(device, convFamily, "tile-f16")) return;
    for (const name of ["tails of tiles", CASES.find((k) => k.name.includes("two cached"))!.name]) {
      const c = CASES.find((k) => k.name === name)!;
      await run(c, "f16", { tuning: { rule: "tile-f16" }, outDtype: "f32" });
      await run(c, "f16", { tuning: { variant: { ...CONV_TILES.any, half: true } } }, true);
    }
  });

  test("subgroup matrices: every kind of padding and tile", async () => {
    if (!canRun(device, convFamily, "matrix-f16")) return;
    const wide = CASES.filter(({ x }) => x[4] % 8 === 0);
    expect(wide.length).toBeGreaterThan(8);
    const large = { name: "several tiles", x: [1, 3, 20, 21, 40], w: [200, 40, 3, 3, 3], ...SAME } as const;
    for (const variant of Object.values(CONV_MATRIX_TILES)) {
      for (const c of [...wide, large]) {
        await run(c, "f16", { tuning: { variant }, outDtype: "f32" });
        await run(c, "f16", { tuning: { variant } }, true);
      }
    }
  });

  test("chunks with cached frames equal the whole clip bit for bit", async () => {
    const [H, W, C] = [5, 6, 8];
    const whole = device.upload(seededNormal(6 * H * W * C, 1), [1, 6, H, W, C]);
    const w = device.upload(seededNormal(8 * C * 27, 2), [8, C, 3, 3, 3]);
    const weight = packConvWeight(device, w);
    const padding = { time: [2, 0], height: [1, 1], width: [1, 1] } as const;
    const expected = await device.read(conv3d(device, whole, weight, { padding }));
    const frames = (start: number, end: number) =>
      whole
        .reshape([6, H, W, C])
        .rows(start, end)
        .reshape([1, end - start, H, W, C]);
    const parts = [
      conv3d(device, frames(0, 1), weight, { padding }),
      conv3d(device, frames(1, 3), weight, { padding, history: frames(0, 1) }),
      conv3d(device, frames(3, 6), weight, { padding, history: frames(1, 3) }),
    ];
    const got = (await Promise.all(parts.map((p) => device.read(p)))).flatMap((p) => [...p]);
    expect(got).toEqual([...expected]);
    weight.dispose();
  });

  test("more than 65,535 workgroups", async () => {
    const frames = 70_000;
    const x = device.upload(
      Float32Array.from({ length: frames * 4 }, (_, i) => i % 13),
      [1, frames, 1, 1, 4],
    );
    const w = device.upload([1, 0, 0, 0, 0, 1, 0, 0], [1, 4, 2, 1, 1]);
    const weight = packConvWeight(device, w);
    const y = conv3d(device, x, weight, { padding: { time: [0, 0], height: [0, 0], width: [0, 0] } });
    const got = await device.read(y);
    const at = (i: number) => i % 13;
    const wrong = got.findIndex((v, t) => v !== at(4 * t) + at(4 * (t + 1) + 2));
    expect(wrong).toBe(-1);
    for (const t of [x, w, weight, y]) t.dispose();
  });

  test("refuses what does not fit", () => {
    const x = device.zeros([1, 1, 2, 2, 4]);
    const weight = packConvWeight(device, device.zeros([4, 8, 1, 3, 3]));
    const padding = { time: [0, 0], height: [1, 1], width: [1, 1] } as const;
    expect(() => conv3d(device, x, weight, { padding })).toThrow(/8 input channels.*has 4/);
    const small = packConvWeight(device, device.zeros([4, 4, 1, 3, 3]));
    expect(() => conv3d(device, x, small, { padding: { ...padding, height: [0, 0] } })).toThrow(
      /height is 2 with padding, the kernel needs 3/,
    );
    expect(() => packConvWeight(device, x.reshape([4, 4]))).toThrow(/expected \[O, I/);
  });
});
