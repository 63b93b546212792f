import { describe, expect, test } from "vitest";
import type { DeviceInfo } from "../../device/device-info.js";
import { chooseLinear, outputTile, splitRows, variantKey } from "./linear-plan.js";

const info = (o: Partial<DeviceInfo>): DeviceInfo => ({
  vendor: "",
  architecture: "",
  device: "",
  description: "",
  isSoftware: false,
  subgroupSize: undefined,
  features: [],
  limits: {
    maxBufferSize: 2 ** 28,
    maxStorageBufferBindingSize: 2 ** 27,
    maxComputeWorkgroupStorageSize: 16384,
    maxComputeInvocationsPerWorkgroup: 256,
    maxStorageBuffersPerShaderStage: 8,
    minStorageBufferOffsetAlignment: 256,
  },
  ...o,
});
const f32 = { x: "f32", weight: "f32" } as const;

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

describe("chooseLinear", () => {
  test("few rows read the weight once", () => {
    expect(chooseLinear({ M: 3, N: 512, K: 64 }, f32, "portable", info({}))).toEqual({
      kind: "gemv",
      rows: 4,
      threads: 64,
    });
  });

  test("software adapters with subgroups use them", () => {
    const lavapipe = info({ isSoftware: true, subgroupSize: 8 });
    const v = chooseLinear({ M: 512, N: 512, K: 64 }, f32, "subgroups", lavapipe);
    expect(v).toEqual({ kind: "subgroups", size: 8, blocksM: 2, blocksN: 2 });
    expect(outputTile(v)).toEqual({ rows: 16, columns: 16 });
    const swiftshader = info({ isSoftware: true, subgroupSize: 4 });
    const tile = (M: number) => outputTile(chooseLinear({ M, N: 512, K: 64 }, f32, "subgroups", swiftshader));
    expect(tile(512)).toEqual({ rows: 16, columns: 16 });
    expect(tile(8)).toEqual({ rows: 8, columns: 16 });
  });

  test("GPUs get large tiles when there are enough of them", () => {
    const rows = (M: number) =>
      outputTile(chooseLinear({ M, N: 1536, K: 64 }, f32, "portable", info({}))).rows;
    expect([rows(128), rows(32_760)]).toEqual([32, 64]);
  });

  test("stages as f16 only what is stored as f16, and only with the feature", () => {
    const gpu = info({ features: ["shader-f16"] });
    const key = (dtypes: Parameters<typeof chooseLinear>[1], device = gpu) =>
      variantKey(chooseLinear({ M: 64, N: 64, K: 64 }, dtypes, "f16", device));
    expect(key({ x: "f16", weight: "bf16" })).toMatch(/ hx$/);
    expect(key({ x: "f32", weight: "f16" })).toMatch(/ hw$/);
    expect(key({ x: "f16", weight: "f16" }, info({}))).not.toMatch(/ h/);
  });

  test("every tile fits the memory and threads that any device has", () => {
    for (const M of [64, 100_000]) {
      const v = chooseLinear({ M, N: 4096, K: 64 }, f32, "portable", info({}));
      if (v.kind !== "tile") throw new Error(v.kind);
      expect((v.tileM + v.tileN) * v.stepK * 4).toBeLessThanOrEqual(16_384);
      expect((v.tileM / v.threadM) * (v.tileN / v.threadN)).toBeLessThanOrEqual(256);
      const blocks = ((v.tileM + v.tileN) * v.stepK) / 16;
      expect(blocks % ((v.tileM / v.threadM) * (v.tileN / v.threadN))).toBe(0);
    }
  });
});
