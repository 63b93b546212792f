import { describe, expect, it } from "vitest";
import { type DeviceError, linear } from "../index.js";
import { countingGpu } from "./counting-gpu.js";

describe("buffers", () => {
  it("are taken from what is free, and none is destroyed while work is in flight", async () => {
    const gpu = countingGpu();
    const { device } = gpu;
    const sizes = [4, 1, 3, 2].map((mebi) => mebi * 2 ** 18);
    // Many passes that make and free tensors of several sizes, with nobody waiting in between.
    const pass = () => device.scope(() => void sizes.map((n) => device.zeros([n])));
    pass();
    const first = gpu.created;
    for (let i = 0; i < 50; i++) pass();
    expect(gpu.created).toMatchObject({ buffers: first.buffers, bytes: first.bytes });
    expect(device.memory().heldBytes).toBe(10 * 2 ** 20);
    expect(device.memory().liveBytes).toBe(0);
    await device.releaseMemory();
    expect(device.memory().heldBytes).toBe(0);
  });

  it("a free buffer serves a slightly smaller tensor, not a much smaller one", () => {
    const { device } = countingGpu();
    device.empty([1000 * 256]).dispose();
    const near = device.empty([900 * 256]);
    expect(device.memory().createdBuffers).toBe(1);
    near.dispose();
    const far = device.empty([800 * 256]);
    expect(device.memory().createdBuffers).toBe(2);
    far.dispose();
  });

  it("what stays free for long is given back", async () => {
    const { device } = countingGpu();
    device.empty([1 << 20]).dispose();
    for (let i = 0; i < 20; i++) await device.idle();
    expect(device.memory().heldBytes).toBe(0);
  });

  it("freed weights count until the GPU has passed them", async () => {
    const gpu = countingGpu();
    const weight = gpu.device.zeros([1 << 20], "f32", { pinned: true });
    weight.dispose();
    expect(gpu.device.memory()).toMatchObject({ liveBytes: 0, heldBytes: 4 << 20 });
    await gpu.device.idle();
    expect(gpu.device.memory().heldBytes).toBe(0);
    expect(gpu.driverBytes).toBeLessThan(1 << 20);
  });

  it("reading results back allocates once", async () => {
    const { device } = countingGpu();
    const x = device.zeros([1000]);
    await device.read(x);
    const { createdBuffers } = device.memory();
    for (let i = 0; i < 5; i++) await device.read(x);
    expect(device.memory().createdBuffers).toBe(createdBuffers);
  });

  it("are no larger than the device allows, whatever is rounded up", () => {
    const { device } = countingGpu({ limits: { maxBufferSize: 1_000_000 } });
    expect(device.empty([249_999]).buffer.size).toBeLessThanOrEqual(1_000_000);
    expect(() => device.empty([250_001])).toThrow(expect.objectContaining({ code: "BUFFER_TOO_LARGE" }));
  });
});

describe("out of memory", () => {
  it("is said once, and the device serves again when memory is free", async () => {
    const { device } = countingGpu({ memoryBytes: 1 << 20 });
    const kept = device.zeros([1 << 16]);
    const tooMuch = device.zeros([1 << 20]);
    const error = (await device.read(tooMuch).catch((e: unknown) => e)) as DeviceError;
    expect(error.code).toBe("OUT_OF_MEMORY");
    tooMuch.dispose();
    await device.releaseMemory();
    expect(device.memory().heldBytes).toBe(1 << 18);
    expect(await device.read(kept)).toHaveLength(1 << 16);
    kept.dispose();
  });
});

describe("work in flight", () => {
  it("is bounded: few portions are submitted before the first is done", async () => {
    const { device } = countingGpu();
    const { queue } = device.gpu;
    const ends: (() => void)[] = [];
    queue.onSubmittedWorkDone = () => new Promise((done) => ends.push(() => done(undefined)));
    let portions = 0;
    const run = (async () => {
      for (; portions < 20; portions++) {
        device.zeros([16]).dispose();
        await device.pace();
      }
    })();
    await new Promise((next) => setTimeout(next, 20));
    expect(portions).toBeLessThan(4);
    while (portions < 20) {
      ends.shift()?.();
      await new Promise((next) => setTimeout(next, 0));
    }
    await run;
  });
});

it("counts dispatches as they are recorded", () => {
  const gpu = countingGpu();
  const x = gpu.device.zeros([8, 16]);
  const w = gpu.device.zeros([4, 16]);
  linear(gpu.device, x, w).dispose();
  gpu.device.submit();
  expect(gpu.created.dispatches).toBeGreaterThan(0);
});
