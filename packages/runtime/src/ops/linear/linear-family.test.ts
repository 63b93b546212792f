/** Which kernel linear layers run, and how rows are cut to fit bindings. */
import { describe, expect, test } from "vitest";
import { KernelChooser } from "../../kernel/kernel-family.js";
import { PRETEND_DEVICES, pretendDevice } from "../../testing/pretend-device.js";
import { splitRows } from "../row-chunks.js";
import type { LinearShaderShape } from "./linear.wgsl.js";
import { linearFamily } from "./linear-family.js";
import { type LinearVariant, outputTile, variantKey } from "./linear-variant.js";

const shape: LinearShaderShape = { x: "f32", weight: "f32", out: "f32", alignedK: true, alignedN: true };

function choose(
  M: number,
  N: number,
  device = pretendDevice({}),
  dtypes: Partial<LinearShaderShape> = {},
): LinearVariant {
  const chooser = new KernelChooser(device, { math: "exact" });
  return chooser.choose(linearFamily, { ...shape, ...dtypes }, { M, N, K: 64 }).variant;
}

describe("splitRows", () => {
  test("keeps what fits whole", () => {
    expect(splitRows(10, [400, 40], 4000, 256)).toEqual([{ start: 0, end: 10 }]);
  });

  test("cuts where every tensor is aligned, and covers every row once", () => {
    // 24 bytes align to 256 every 32 rows, 96 bytes every 8.
    const ranges = splitRows(100, [24, 96], 96 * 50, 256);
    expect(ranges.map((r) => r.start)).toEqual([0, 32, 64, 96]);
    expect(ranges.at(-1)).toEqual({ start: 96, end: 100 });
  });

  test("gives up alignment, but never the multiple, when bindings are tiny", () => {
    expect(splitRows(5, [12], 30, 256, 2).map((r) => r.start)).toEqual([0, 2, 4]);
    expect(() => splitRows(5, [12], 20, 256, 2)).toThrow(/2 row\(s\) of 12 bytes/);
  });
});

describe("linear", () => {
  test("few rows read the weight once", () => {
    expect(choose(3, 512)).toEqual({ kind: "gemv", rows: 4, threads: 64 });
  });

  test("software adapters with subgroups use them", () => {
    const lavapipe = pretendDevice({ hardware: "software", subgroups: { min: 8, max: 8 } });
    const v = choose(512, 512, lavapipe);
    expect(v).toEqual({ kind: "lanes", size: 8, blocksM: 2, blocksN: 2 });
    expect(outputTile(v)).toEqual({ rows: 16, columns: 16 });
    const swiftshader = pretendDevice({ hardware: "software", subgroups: { min: 4, max: 4 } });
    expect(outputTile(choose(512, 512, swiftshader))).toEqual({ rows: 16, columns: 16 });
    expect(outputTile(choose(8, 512, swiftshader))).toEqual({ rows: 8, columns: 16 });
  });

  test("GPUs get large tiles when there are enough of them", () => {
    const rows = (M: number) => outputTile(choose(M, 1536)).rows;
    expect([rows(128), rows(32_760)]).toEqual([32, 64]);
  });

  test("matrices take tiles of few rows for few rows, and 64 or more for many", () => {
    const chooser = new KernelChooser(PRETEND_DEVICES.nvidia!, { math: "fast" });
    const rows = (M: number) => {
      const { rule, variant } = chooser.choose(linearFamily, shape, { M, N: 1536, K: 1536 });
      return [rule, outputTile(variant).rows];
    };
    expect(rows(8)).toEqual(["gemv", 8]);
    expect(rows(9)).toEqual(["matrix-f16", 16]);
    expect(rows(17)).toEqual(["matrix-f16", 32]);
    expect(rows(128)).toEqual(["matrix-f16", 32]);
    expect(rows(129)).toEqual(["matrix-f16", 64]);
    expect(rows(32_760)).toEqual(["matrix-f16", 128]);
  });

  test("stages as f16 only what is stored as f16, and only with the feature", () => {
    const gpu = pretendDevice({ f16: true });
    const key = (dtypes: Partial<LinearShaderShape>, device = gpu) =>
      variantKey(choose(64, 64, device, dtypes));
    expect(key({ x: "f16", weight: "bf16" })).toMatch(/ hx$/);
    expect(key({ x: "f32", weight: "f16" })).toMatch(/ hw$/);
    expect(key({ x: "f16", weight: "f16" }, pretendDevice({}))).not.toMatch(/ h/);
  });

  test("every tile fits the memory and threads that any device has", () => {
    for (const M of [64, 100_000]) {
      const v = choose(M, 4096);
      if (v.kind !== "tile") throw new Error(v.kind);
      expect((v.tileM + v.tileN) * v.stepK * 4).toBeLessThanOrEqual(16_384);
      expect((v.tileM / v.threadM) * (v.tileN / v.threadN)).toBeLessThanOrEqual(256);
      const blocks = ((v.tileM + v.tileN) * v.stepK) / 16;
      expect(blocks % ((v.tileM / v.threadM) * (v.tileN / v.threadN))).toBe(0);
    }
  });
});
