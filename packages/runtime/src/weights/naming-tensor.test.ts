import { describe, expect, it } from "vitest";
import { countingGpu } from "../device/counting-gpu.js";
import { AbortError, WeightsError } from "../errors.js";
import { type ByteSource, memorySource } from "./byte-source.js";
import { readFailed } from "./header.js";
import { namingTensor } from "./naming-tensor.js";
import { openSafetensors } from "./safetensors-weights.js";
import { encodeSafetensors, type TensorToWrite } from "./safetensors-writer.js";
import { uploadPacked, uploadTensor, uploadTensors } from "./upload.js";
import type { WeightSource } from "./weight-source.js";

const SHARD = "model-00002-of-00003.safetensors";
const NAME = "blocks.1.attn1.to_q.weight";

const weightsOf = (tensor: TensorToWrite, change?: (source: ByteSource) => ByteSource) => {
  const source = memorySource(encodeSafetensors({ [NAME]: tensor }), SHARD);
  return openSafetensors(change ? change(source) : source);
};
const floats = (count: number): TensorToWrite => ({
  dtype: "F32",
  shape: [count],
  data: new Float32Array(count),
});

/** A disk or a server that gives the header, and then fails. */
const failing = (error: Error) => (source: ByteSource) => ({
  ...source,
  name: source.name,
  size: source.size,
  read: (offset: number, length: number, into?: Uint8Array) =>
    offset > 8 ? Promise.reject(error) : source.read(offset, length, into),
});

describe("errors of a tensor name it and its shard", () => {
  const kinds: [string, string, () => Promise<WeightSource>, object?][] = [
    ["another shape", "WRONG_SHAPE", () => weightsOf(floats(4)), { shape: [5] }],
    [
      "rows that are not there",
      "RANGE_OUTSIDE_TENSOR",
      () => weightsOf(floats(4)),
      { rows: { start: 2, end: 9 } },
    ],
    [
      "numbers that do not fit",
      "UNSUPPORTED_DTYPE",
      () => weightsOf({ dtype: "I64", shape: [1], data: BigInt64Array.of(2n ** 40n) }),
    ],
    [
      "more than a buffer holds",
      "BUFFER_TOO_LARGE",
      async () => {
        const source = await weightsOf(floats(4));
        const info = { ...source.info(NAME), shape: [2 ** 33], byteLength: 2 ** 35 };
        return {
          ...source,
          has: () => true,
          info: () => info,
          stream: async () => {},
        } as unknown as WeightSource;
      },
    ],
  ];
  it.each(kinds)("%s", async (_kind, code, open, options) => {
    const { device } = countingGpu();
    const source = await open();
    for (const work of [
      () => uploadTensor(device, source, NAME, options),
      ...(options ? [] : [() => uploadTensors(device, source, [NAME])]),
    ]) {
      await expect(work()).rejects.toMatchObject({
        code,
        where: SHARD,
        message: expect.stringContaining(NAME),
      });
    }
    expect(device.memory().liveTensors).toBe(0);
    device.dispose();
  });

  it.each([
    ["a disk that breaks", readFailed("the file can not be read: EIO")],
    [
      "a file that became shorter",
      new WeightsError("TRUNCATED", "the file ends at byte 9.", { where: SHARD }),
    ],
  ])("%s while it is read", async (_kind, error) => {
    const { device } = countingGpu();
    // The header is read before the disk breaks.
    let isBroken = false;
    const source = await weightsOf(floats(4), (whole) => {
      const broken = failing(error)(whole);
      return {
        ...broken,
        close: () => whole.close(),
        read: (...args) => (isBroken ? broken : whole).read(...args),
      };
    });
    isBroken = true;
    const expected = {
      code: error.code,
      fault: error.fault,
      where: SHARD,
      message: expect.stringContaining(NAME),
    };
    await expect(uploadTensor(device, source, NAME)).rejects.toMatchObject(expected);
    await expect(namingTensor(source, NAME, () => source.read(NAME))).rejects.toMatchObject(expected);
    device.dispose();
  });

  it("a quantized matrix", async () => {
    const { device } = countingGpu();
    const weights = await weightsOf(floats(4));
    const packed = {
      dtype: "q8_0",
      byteLength: 34,
      stream: () => Promise.reject(readFailed("the server sent nothing for 30 s.")),
    };
    const source = {
      ...weights,
      has: () => true,
      info: () => ({ ...weights.info(NAME), shape: [1, 32] }),
      packed: () => packed,
    } as unknown as WeightSource;
    await expect(uploadPacked(device, source, NAME)).rejects.toMatchObject({
      ...{ code: "READ_FAILED", where: SHARD, message: expect.stringContaining(NAME) },
    });
    device.dispose();
  });

  it("stopping and errors of others stay what they are", async () => {
    const source = await weightsOf(floats(1));
    const stopped = new AbortError("ABORTED", "loading was stopped");
    await expect(namingTensor(source, NAME, () => Promise.reject(stopped))).rejects.toBe(stopped);
    const other = new TypeError("x");
    await expect(namingTensor(source, NAME, () => Promise.reject(other))).rejects.toBe(other);
    const named = new WeightsError("WRONG_SHAPE", `"${NAME}" is [2].`, { where: "elsewhere" });
    await expect(namingTensor(source, NAME, () => Promise.reject(named))).rejects.toBe(named);
  });
});
