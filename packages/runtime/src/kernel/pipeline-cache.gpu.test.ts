/** Compiling ahead: side by side, once, and with the same errors as compiling on the spot. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { countingGpu, type Device, type DeviceError, defineKernel, type Kernel, linear } from "../index.js";
import { testDevice } from "../testing.js";
import { computeMain } from "./wgsl-threads.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice({ bounds: "checked" });
});
afterAll(() => device.dispose());

function fill(key: string, value: string): Kernel {
  return defineKernel({
    inBounds: false,
    name: "fill",
    key,
    bindings: [{ name: "y", type: "array<f32>", access: "read_write" }],
    params: {},
    body: () => computeMain(1, `  y[0] = ${value};`),
  });
}

async function run(kernel: Kernel): Promise<number> {
  const y = device.empty([1]);
  device.dispatch({ kernel, tensors: [y], params: {}, workgroups: 1 });
  const [value] = await device.read(y);
  y.dispose();
  return value!;
}

/** Counts what reaches WebGPU. */
async function counted<T>(body: () => Promise<T>): Promise<{ result: T; now: number; aside: number }> {
  const gpu = device.gpu as { -readonly [K in keyof GPUDevice]: GPUDevice[K] };
  const counts = { now: 0, aside: 0 };
  const { createComputePipeline, createComputePipelineAsync } = gpu;
  gpu.createComputePipeline = (d) => {
    counts.now += 1;
    return createComputePipeline.call(gpu, d);
  };
  gpu.createComputePipelineAsync = (d) => {
    counts.aside += 1;
    return createComputePipelineAsync.call(gpu, d);
  };
  try {
    return { result: await body(), ...counts };
  } finally {
    Object.assign(gpu, { createComputePipeline, createComputePipelineAsync });
  }
}

test("what was warmed is not compiled again, not even when asked twice at once", async () => {
  const [one, two] = [fill("warm 1", "1.0"), fill("warm 2", "2.0")];
  const { result, now, aside } = await counted(async () => {
    await Promise.all([device.warm([one, two, one]), device.warm([two])]);
    await device.warm([one]);
    return [await run(one), await run(two)];
  });
  expect(result).toEqual([1, 2]);
  expect({ now, aside }).toEqual({ now: 0, aside: 2 });
});

test("a dispatch that comes before the compile is done compiles for itself", async () => {
  const kernel = fill("race", "3.0");
  const warming = device.warm([kernel]);
  expect(await run(kernel)).toBe(3);
  await warming;
  expect(await run(kernel)).toBe(3);
});

test("a shader that does not compile is the same error as on the spot, and the device goes on", async () => {
  const broken = fill("broken", "nonsense");
  const error = (await device.warm([fill("good", "4.0"), broken]).catch((e: unknown) => e)) as DeviceError;
  expect(error.code).toBe("SHADER_ERROR");
  expect(error.message).toMatch(/fill\|broken.*nonsense/s);
  expect(device.kernels().some(({ key }) => key === "broken")).toBe(false);
  expect(await run(fill("good", "4.0"))).toBe(4);
  await expect(run(broken)).rejects.toMatchObject({ code: "SHADER_ERROR" });
});

test("the kernels of a program come from running it on a counting device that pretends to be this one", async () => {
  const program = (d: Device) => {
    const x = d.upload(new Float32Array(12 * 8).fill(1), [12, 8], "bf16");
    const w = d.upload(new Float32Array(20 * 8).fill(1), [20, 8], "f16");
    return d.scope(() => linear(d, x, w, { activation: "relu2" }));
  };
  const counting = countingGpu({ info: device.info }).device;
  program(counting);
  await device.warm(counting.kernels());
  const { result, now } = await counted(async () => device.read(program(device)));
  expect(result[0]).toBe(64);
  expect(now).toBe(0);
});
