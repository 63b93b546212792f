import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Device, type DeviceError, defineKernel, flatMain } from "../index.js";
import { testDevice } from "../testing.js";

const addOne = defineKernel({
  inBounds: false,
  name: "add-one",
  key: "f32",
  bindings: [
    { name: "x", type: "array<f32>", access: "read" },
    { name: "y", type: "array<f32>", access: "read_write" },
  ],
  params: { count: "u32", amount: "f32" },
  body: () => flatMain("if (i < params.count) { y[i] = x[i] + params.amount; }", 64),
});

describe("device", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ bounds: "checked" });
  });
  afterAll(() => device.dispose());

  const run = (x: Parameters<Device["dispatch"]>[0]["tensors"][number]) => {
    const y = device.empty(x.shape);
    const params = { count: x.size, amount: 1 };
    device.dispatch({ kernel: addOne, tensors: [x, y], params, workgroups: Math.ceil(x.size / 64) });
    return y;
  };

  test("runs a kernel over more than 65,535 workgroups", async () => {
    const n = 65_536 * 64 + 7;
    const x = device.upload(new Float32Array(n).fill(2), [n]);
    const y = run(x);
    const got = await device.read(y);
    expect(got[0]).toBe(3);
    expect(got[n - 1]).toBe(3);
    expect(got.every((v) => v === 3)).toBe(true);
    x.dispose();
    y.dispose();
  });

  test("binds views at offsets the hardware does not allow", async () => {
    const x = device.upload([0, 1, 2, 3, 4, 5], [6]);
    const y = run(x.rows(1, 4));
    expect([...(await device.read(y))]).toEqual([2, 3, 4]);
    const z = device.upload([9, 9, 9, 9, 9, 9], [6]);
    const params = { count: 2, amount: 10 };
    device.dispatch({ kernel: addOne, tensors: [x.rows(0, 2), z.rows(3, 5)], params, workgroups: 1 });
    expect([...(await device.read(z))]).toEqual([9, 9, 9, 10, 11, 9]);
    // The same buffer read and written in one dispatch.
    device.dispatch({ kernel: addOne, tensors: [z.rows(3, 5), z.rows(0, 2)], params, workgroups: 1 });
    expect([...(await device.read(z))]).toEqual([20, 21, 9, 10, 11, 9]);
    for (const t of [x, y, z]) t.dispose();
  });

  test("a scope frees what it does not return, and reuses freed buffers", async () => {
    const before = device.memory();
    const kept = device.scope(() => {
      const a = device.upload([1, 2, 3, 4], [4]);
      const b = run(a);
      return device.scope(() => run(b).reshape([2, 2]));
    });
    expect([...(await device.read(kept))]).toEqual([3, 4, 5, 6]);
    expect(device.memory().liveTensors).toBe(before.liveTensors + 1);
    kept.dispose();
    expect(device.memory().liveBytes).toBe(before.liveBytes);
  });

  test("keeps stored types: f16, bf16 and odd lengths come back", async () => {
    for (const dtype of ["f32", "f16", "bf16"] as const) {
      const t = device.upload([1, -2.5, 0.15625], [3], dtype);
      expect([...(await device.read(t))]).toEqual([1, -2.5, 0.15625]);
      t.dispose();
    }
  });

  test("a shader that does not compile is an error that names kernel and line", async () => {
    const other = await testDevice({ bounds: "checked" });
    const broken = defineKernel({
      inBounds: false,
      name: "broken",
      key: "",
      bindings: [{ name: "y", type: "array<f32>", access: "read_write" }],
      params: {},
      body: () => "@compute @workgroup_size(1) fn main() { y[0] = nonsense; }",
    });
    const y = other.empty([1]);
    other.dispatch({ kernel: broken, tensors: [y], params: {}, workgroups: 1 });
    const error = (await other.read(y).catch((e: unknown) => e)) as DeviceError;
    expect(error.code).toBe("SHADER_ERROR");
    expect(error.message).toMatch(/broken.*nonsense/s);
    other.dispose();
  });
});
