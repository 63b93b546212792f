/** Weights on the GPU hold the bytes of the file, however they were cut into pieces. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../device/device.js";
import { AbortError } from "../errors.js";
import { bytesPerElement } from "../tensor/dtype.js";
import { testDevice } from "../testing/device.js";
import { memorySource } from "./byte-source.js";
import { bitsPerStoredElement, type SafetensorsDType, storedByteLength } from "./safetensors-dtype.js";
import { openSafetensors } from "./safetensors-weights.js";
import { encodeSafetensors, type TensorToWrite } from "./safetensors-writer.js";
import { uploadedDType, uploadTensor, uploadTensors } from "./upload.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

const weightsOf = (tensors: Record<string, TensorToWrite>) =>
  openSafetensors(memorySource(encodeSafetensors(tensors)));

function someBytes(dtype: SafetensorsDType, count: number): Uint8Array {
  return new Uint8Array(storedByteLength(dtype, [count])!).map((_, i) => (i * 37 + (i >> 8) * 11) & 0x3f);
}

describe("uploadTensor", () => {
  it.each<SafetensorsDType>(["F32", "F16", "BF16", "I32", "U32", "U8", "BOOL"])(
    "keeps %s as stored, for odd sizes and pieces",
    async (dtype) => {
      for (const count of [0, 1, 3, 101, 4099]) {
        const data = someBytes(dtype, count);
        const weights = await weightsOf({ w: { dtype, shape: [count], data } });
        for (const chunkBytes of [1, 100, 2 ** 24]) {
          const tensor = await uploadTensor(device, weights, "w", { chunkBytes });
          expect(tensor.shape).toEqual([count]);
          expect(bytesPerElement(tensor.dtype) * 8).toBe(bitsPerStoredElement(dtype));
          expect(await device.readBytes(tensor)).toEqual(data);
          tensor.dispose();
        }
      }
    },
  );

  it("converts what shaders can not read", async () => {
    const weights = await weightsOf({
      f64: { dtype: "F64", shape: [3], data: Float64Array.of(0.1, -2, 1e-300) },
      i64: { dtype: "I64", shape: [2, 1], data: BigInt64Array.of(-7n, 2147483647n) },
      i16: { dtype: "I16", shape: [5], data: Int16Array.of(1, -2, 3, -4, 5) },
      // 1, -1.5, 448 (the largest), 2^-9 (the smallest), NaN
      e4m3: { dtype: "F8_E4M3", shape: [5], data: Uint8Array.of(0x38, 0xbc, 0x7e, 0x01, 0x7f) },
      // 1, -1.5, 57344 (the largest), 2^-16 (the smallest), infinity
      e5m2: { dtype: "F8_E5M2", shape: [5], data: Uint8Array.of(0x3c, 0xbe, 0x7b, 0x01, 0x7c) },
    });
    for (const [name, dtype, values] of [
      ["f64", "f32", [Math.fround(0.1), -2, 0]],
      ["i64", "i32", [-7, 2147483647]],
      ["i16", "i32", [1, -2, 3, -4, 5]],
      ["e4m3", "bf16", [1, -1.5, 448, 2 ** -9, Number.NaN]],
      ["e5m2", "bf16", [1, -1.5, 57344, 2 ** -16, Number.POSITIVE_INFINITY]],
    ] as const) {
      const tensor = await uploadTensor(device, weights, name, { chunkBytes: 1 });
      expect(tensor.dtype).toBe(dtype);
      const read = dtype === "i32" ? device.readIntegers(tensor) : device.read(tensor);
      expect([...(await read)], name).toEqual(values);
      tensor.dispose();
    }
  });

  it("takes rows out of a table", async () => {
    const data = Float32Array.from({ length: 35 }, (_, i) => i);
    const weights = await weightsOf({ table: { dtype: "BF16", shape: [5, 7], data } });
    const tensor = await uploadTensor(device, weights, "table", { rows: { start: 1, end: 4 } });
    expect(tensor.shape).toEqual([3, 7]);
    expect([...(await device.read(tensor))]).toEqual([...data.slice(7, 28)]);
    tensor.dispose();
    await expect(
      uploadTensor(device, weights, "table", { rows: { start: 4, end: 6 } }),
    ).rejects.toMatchObject({
      code: "RANGE_OUTSIDE_TENSOR",
    });
  });

  it("leaves nothing behind after a failure", async () => {
    const data = someBytes("F32", 1000);
    const weights = await weightsOf({
      w: { dtype: "F32", shape: [1000], data },
      ids: { dtype: "I64", shape: [2], data: BigInt64Array.of(1n, 2n ** 40n) },
    });
    const before = device.memory();
    await expect(uploadTensor(device, weights, "w", { shape: [10, 100] })).rejects.toMatchObject({
      code: "WRONG_SHAPE",
    });
    await expect(uploadTensor(device, weights, "missing")).rejects.toMatchObject({ code: "MISSING_TENSOR" });
    await expect(uploadTensors(device, weights, ["w", "ids"])).rejects.toMatchObject({
      code: "UNSUPPORTED_DTYPE",
    });
    const controller = new AbortController();
    const stopping = {
      ...weights,
      info: (name: string) => weights.info(name),
      stream: (async (name, size, onChunk) =>
        weights.stream(name, size, (chunk, offset) => {
          if (offset > 0) controller.abort();
          return onChunk(chunk, offset);
        })) satisfies typeof weights.stream,
    };
    const stopped = uploadTensor(device, stopping, "w", { chunkBytes: 480, signal: controller.signal });
    await expect(stopped).rejects.toBeInstanceOf(AbortError);
    expect(device.memory()).toMatchObject({ liveBytes: before.liveBytes, pinnedBytes: before.pinnedBytes });
  });

  it("pins by default, so that scopes leave weights alone", async () => {
    const weights = await weightsOf({ w: { dtype: "F32", shape: [64], data: someBytes("F32", 64) } });
    const { pinnedBytes } = device.memory();
    const tensor = await uploadTensor(device, weights, "w");
    expect(device.memory().pinnedBytes).toBe(pinnedBytes + 256);
    tensor.dispose();
    expect(device.memory().pinnedBytes).toBe(pinnedBytes);
  });
});

describe("uploadTensors", () => {
  it("gives all of them by name, with progress", async () => {
    const weights = await weightsOf({
      a: { dtype: "BF16", shape: [3], data: Float32Array.of(1, 2, 3) },
      b: { dtype: "F32", shape: [], data: Float32Array.of(4) },
    });
    const progress: number[][] = [];
    const tensors = await uploadTensors(device, weights, ["b", "a"], {
      onProgress: (...step) => void progress.push(step),
    });
    expect(progress).toEqual([
      [4, 10],
      [10, 10],
    ]);
    expect([...(await device.read(tensors.get("a")!))]).toEqual([1, 2, 3]);
    expect([...(await device.read(tensors.get("b")!))]).toEqual([4]);
    for (const tensor of tensors.values()) tensor.dispose();
  });

  it("does not pile up memory outside of the GPU's own", async () => {
    // 30 times 32 MiB through one tensor: without waiting, the driver would stage most of it.
    const data = new Uint8Array(32 * 2 ** 20);
    const weights = await weightsOf({ w: { dtype: "U8", shape: [data.length], data } });
    const names = Array.from({ length: 30 }, () => "w");
    const before = process.memoryUsage().rss;
    let peak = 0;
    const tensors = await uploadTensors(device, weights, names, {
      onProgress: () => {
        peak = Math.max(peak, process.memoryUsage().rss - before);
      },
    });
    for (const tensor of tensors.values()) tensor.dispose();
    // With a software adapter GPU memory is the process's: two tensors, and four that were freed since the GPU was last
    // waited for (192 MiB); 128 MiB staged; the buffers of the stream: 352 MiB. 960 MiB would be everything.
    expect(peak).toBeLessThan(528 * 2 ** 20);
  });
});

it("has no storage type for packed formats", () => {
  expect(() => uploadedDType("F4", "w")).toThrow(/"w" is stored as F4/);
});
