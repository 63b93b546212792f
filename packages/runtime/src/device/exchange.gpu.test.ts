/** Parts that the host has in recorded work: order, memory, and what happens when one fails. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError } from "../errors.js";
import { add } from "../ops/elementwise/elementwise.js";
import { testDevice } from "../testing.js";
import type { Device } from "./device.js";

const numbers = (bytes: Uint8Array) => new Float32Array(bytes.slice().buffer);
const bytesOf = (values: readonly number[]) => new Uint8Array(Float32Array.from(values).buffer);
const soon = () => new Promise((resolve) => setTimeout(resolve, 5));

describe("exchange", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });
  afterAll(() => device.dispose());

  test("comes after what was recorded before it and before what is recorded after it", async () => {
    const seen: number[][] = [];
    const result = device.scope(() => {
      let x = device.upload([1, 2], [2]);
      for (let round = 0; round < 3; round++) {
        const doubled = add(device, x, x);
        const got = device.empty([2]);
        device.exchange([doubled], [got], async (given, taken) => {
          await soon();
          seen.push([...numbers(given)]);
          taken.set(bytesOf([...numbers(given)].map((v) => v + 1)));
        });
        // Buffers of freed tensors are written again at once: that waits for the exchange too.
        doubled.dispose();
        const reused = device.upload([100 * (round + 1), 0], [2]);
        x = add(device, got, reused);
      }
      return x;
    });
    expect([...(await device.read(result))]).toEqual([1115, 23]);
    expect(seen).toEqual([
      [2, 4],
      [206, 10],
      [814, 22],
    ]);
    result.dispose();
  });

  test("takes several tensors in order, views too, and gives several back", async () => {
    const table = device.upload([0, 1, 2, 3, 4, 5, 6, 7], [4, 2]);
    const out = device.zeros([4, 2]);
    device.exchange(
      [table.rows(3, 4), table.rows(1, 2)],
      [out.rows(2, 3), out.rows(0, 1)],
      async (given, taken) => {
        taken.set(bytesOf([...numbers(given)].map((v) => v * 10)));
      },
    );
    expect([...(await device.read(out))]).toEqual([20, 30, 0, 0, 60, 70, 0, 0]);
  });

  test("what a caller wrote is what it was, though it changes its array before the write", async () => {
    const mine = new Uint8Array(bytesOf([7, 8]));
    const out = device.empty([2]);
    device.exchange([], [], async () => {
      await soon();
    });
    device.writeBytes(out, mine);
    mine.fill(0);
    expect([...(await device.read(out))]).toEqual([7, 8]);
  });

  test("an error ends what waits for it, once, and the device goes on", async () => {
    const out = device.upload([5], [1]);
    device.exchange([], [out], async () => {
      await soon();
      throw new ConfigError("RANK_LOST", "rank 1 is gone");
    });
    let later = 0;
    device.exchange([], [], async () => {
      later += 1;
    });
    await expect(device.read(out)).rejects.toMatchObject({ code: "RANK_LOST" });
    expect(later).toBe(0);
    expect([...(await device.read(out))]).toEqual([5]);
    device.exchange([], [out], () => Promise.reject(new Error("odd")));
    await expect(device.idle()).rejects.toMatchObject({ code: "EXCHANGE_FAILED" });
    device.exchange([], [out], async (_, taken) => taken.set(bytesOf([1, 2])));
    await expect(device.pace()).rejects.toMatchObject({ code: "EXCHANGE_FAILED" });
    expect([...(await device.read(out))]).toEqual([5]);
  });

  test("one staging buffer each way serves all, however large, until memory is released", async () => {
    // More than single reads keep for the next one.
    const large = device.zeros([(65 << 20) / 4]);
    const small = device.upload([1, 2], [2]);
    const out = device.zeros([2]);
    await device.releaseMemory();
    const made = () => device.memory().createdBuffers;
    const before = made();
    const sizes: number[] = [];
    const exchange = (own: typeof small) =>
      device.exchange([own], [out], async (given, taken) => {
        sizes.push(given.byteLength);
        taken.set(given.subarray(0, 8));
      });
    for (let layer = 0; layer < 2; layer++) {
      // Two that are recorded before the first is through, and one after a wait.
      exchange(large);
      exchange(small);
      await device.pace();
      exchange(large);
      await device.pace();
    }
    expect(made() - before).toBe(2);
    expect(sizes).toEqual([65 << 20, 8, 65 << 20, 65 << 20, 8, 65 << 20]);
    await device.releaseMemory();
    // A larger one while the smaller one is in use.
    exchange(small);
    exchange(large);
    exchange(small);
    await device.pace();
    expect(made() - before).toBe(5);
    exchange(small);
    expect([...(await device.read(out))]).toEqual([1, 2]);
    for (const tensor of [large, small, out]) tensor.dispose();
    await device.releaseMemory();
  });

  test("maps once each way, copies nothing on the processor and writes nothing to the queue by itself", async () => {
    const counts = { mapAsync: 0, writeBuffer: 0 };
    const own = device.upload([1, 2, 3, 4], [4]);
    const out = device.zeros([4]);
    await device.idle();
    const { queue } = device.gpu;
    const writeBuffer = queue.writeBuffer.bind(queue);
    queue.writeBuffer = ((...args: Parameters<GPUQueue["writeBuffer"]>) => {
      counts.writeBuffer += 1;
      return writeBuffer(...args);
    }) as GPUQueue["writeBuffer"];
    const createBuffer = device.gpu.createBuffer.bind(device.gpu);
    device.gpu.createBuffer = (descriptor) => {
      const buffer = createBuffer(descriptor);
      const mapAsync = buffer.mapAsync.bind(buffer);
      buffer.mapAsync = (...args: Parameters<GPUBuffer["mapAsync"]>) => {
        counts.mapAsync += 1;
        return mapAsync(...args);
      };
      return buffer;
    };
    let memory: readonly Uint8Array[] = [];
    try {
      for (let layer = 0; layer < 3; layer++) {
        device.exchange([own], [out], async (given, taken) => {
          taken.set(given);
          memory = [given, taken];
        });
      }
      await device.pace();
    } finally {
      queue.writeBuffer = writeBuffer;
      device.gpu.createBuffer = createBuffer;
    }
    expect(counts).toEqual({ mapAsync: 6, writeBuffer: 0 });
    // It was the device's own memory, and is gone.
    expect(memory.map(({ byteLength }) => byteLength)).toEqual([0, 0]);
    expect([...(await device.read(out))]).toEqual([1, 2, 3, 4]);
    own.dispose();
    out.dispose();
    await device.releaseMemory();
  });

  test("a device that is disposed in between keeps the memory until the part is through, and runs no other", async () => {
    const gone = await testDevice();
    const own = gone.upload([3, 4], [2]);
    const out = gone.zeros([2]);
    let begin = () => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    let end = () => {};
    const seen: number[][] = [];
    const through = new Promise<void>((resolve) => {
      gone.exchange([own], [out], async (given, taken) => {
        begin();
        await new Promise<void>((go) => {
          end = go;
        });
        seen.push([...numbers(given)], [taken.byteLength]);
        taken.fill(1);
        resolve();
      });
    });
    gone.exchange([own], [out], async () => {
      seen.push([]);
    });
    await begun;
    gone.dispose();
    await soon();
    end();
    await through;
    await soon();
    expect(seen).toEqual([[3, 4], [8]]);
    await expect(gone.read(out)).rejects.toMatchObject({ code: "DEVICE_DISPOSED" });
  });

  test("after one failed, later ones have memory of their own again", async () => {
    const own = device.upload([3, 4], [2]);
    const out = device.zeros([2]);
    device.exchange([own], [out], () => Promise.reject(new ConfigError("RANK_LOST", "rank 1 is gone")));
    for (let waiting = 0; waiting < 3; waiting++)
      device.exchange([own], [out], async (given, taken) => taken.set(given));
    await expect(device.pace()).rejects.toMatchObject({ code: "RANK_LOST" });
    for (let round = 0; round < 2; round++)
      device.exchange([own], [out], async (given, taken) => taken.set(given));
    expect([...(await device.read(out))]).toEqual([3, 4]);
    own.dispose();
    out.dispose();
  });
});
