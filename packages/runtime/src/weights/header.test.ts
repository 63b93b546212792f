/** Every way a header can be wrong has its own code, and the message names the tensor. */
import { describe, expect, it } from "vitest";
import { isLvsaError, WeightsError } from "../errors.js";
import { memorySource } from "./byte-source.js";
import { MAX_HEADER_BYTES, parseHeaderLength } from "./header.js";
import { openSafetensors } from "./safetensors-weights.js";
import { encodeSafetensors } from "./safetensors-writer.js";

/** A file with this text as header, and this many bytes of data. */
function fileOf(header: string | Uint8Array, dataBytes = 0): Uint8Array {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const file = new Uint8Array(8 + json.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  return file;
}

const entry = (begin: number, end: number, shape: unknown = [(end - begin) / 4], dtype: unknown = "F32") => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

async function failure(file: Uint8Array): Promise<WeightsError> {
  const error = await openSafetensors(memorySource(file, "bad.safetensors")).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(WeightsError);
  expect(isLvsaError(error)).toBe(true);
  expect((error as WeightsError).where).toBe("bad.safetensors");
  return error as WeightsError;
}

const good = fileOf(JSON.stringify({ a: entry(0, 8), b: entry(8, 12) }), 12);

describe("a header that is right", () => {
  it("gives names, shapes and metadata in file order", async () => {
    const json = {
      __metadata__: { format: "pt" },
      b: entry(8, 12),
      a: entry(0, 8),
      none: entry(12, 12, [0, 3]),
    };
    const weights = await openSafetensors(memorySource(fileOf(JSON.stringify(json), 12)));
    expect(weights.names()).toEqual(["a", "b", "none"]);
    expect(weights.metadata).toEqual({ format: "pt" });
    expect(weights.info("a")).toEqual({ dtype: "F32", shape: [2], byteLength: 8, file: "memory" });
    expect(weights.info("none").byteLength).toBe(0);
    expect(weights.totalBytes).toBe(12);
    expect(weights.parameterCount).toBe(3);
  });

  it("may be empty, hold a scalar, odd names and an empty tensor of absurd size", async () => {
    expect((await openSafetensors(memorySource(fileOf("{}")))).names()).toEqual([]);
    const names = ["", "__proto__", "a.b", 'quo"te\\', "ünïcode \u2028", "constructor"];
    const tensors = Object.fromEntries(
      names.map((name) => [name, { dtype: "F32" as const, shape: [], data: new Float32Array([7]) }]),
    );
    // As a literal it would set the prototype.
    Object.defineProperty(tensors, "__proto__", {
      value: { dtype: "F32", shape: [], data: new Float32Array([8]) },
      enumerable: true,
    });
    const weights = await openSafetensors(memorySource(encodeSafetensors(tensors)));
    expect(weights.names().sort()).toEqual(names.sort());
    expect(new Float32Array((await weights.read("__proto__")).buffer)).toEqual(new Float32Array([8]));
    const empty = fileOf(JSON.stringify({ a: entry(0, 0, [9e15, 9e15, 0]) }));
    expect((await openSafetensors(memorySource(empty))).info("a").byteLength).toBe(0);
  });
});

describe("a file that is cut off", () => {
  it.each([
    ["nothing at all", new Uint8Array(0), /0 bytes/],
    ["inside the length", good.subarray(0, 5), /5 bytes/],
    ["inside the header", good.subarray(0, 30), /ends at byte 30|byte 30\./],
  ])("says TRUNCATED: %s", async (_, file, message) => {
    const error = await failure(file);
    expect(error.code).toBe("TRUNCATED");
    expect(error.message).toMatch(message);
    expect(error.fix).toMatch(/[Dd]ownload/);
  });

  it("names the first tensor that is not whole", async () => {
    const inB = await failure(good.subarray(0, good.length - 1));
    expect(inB).toMatchObject({ code: "TRUNCATED", message: expect.stringContaining('"b" is the first') });
    const inA = await failure(good.subarray(0, good.length - 5));
    expect(inA).toMatchObject({ code: "TRUNCATED", message: expect.stringContaining('"a" is the first') });
  });
});

describe("a header length beyond reason", () => {
  it("is refused before anything is read or allocated", () => {
    const prefix = new Uint8Array(8);
    const view = new DataView(prefix.buffer);
    for (const length of [BigInt(MAX_HEADER_BYTES) + 1n, 2n ** 53n + 1n, 2n ** 64n - 1n]) {
      view.setBigUint64(0, length, true);
      expect(() => parseHeaderLength(prefix, 1e12, "f")).toThrow(
        expect.objectContaining({
          code: "HEADER_TOO_LARGE",
          message: expect.stringContaining(String(length)),
        }),
      );
    }
    view.setBigUint64(0, BigInt(MAX_HEADER_BYTES), true);
    expect(parseHeaderLength(prefix, 1e12, "f")).toBe(MAX_HEADER_BYTES);
  });

  it("recognises a Git LFS pointer", async () => {
    const pointer = new TextEncoder().encode(
      "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    );
    const error = await failure(pointer);
    expect(error).toMatchObject({ code: "HEADER_TOO_LARGE", fix: expect.stringContaining("git lfs pull") });
  });

  it.each([
    ["version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"],
    ["<!DOCTYPE html><html>", "a web page"],
    ["\n  <html lang>", "a web page"],
    ["GGUF\u0003\0\0\0\0\0\0\0\0\0", "a GGUF file"],
    ["PK\u0003\u0004aaaaaaaaaa", "one of PyTorch's pickles"],
    ['{"weight_map": {}}', "a text in JSON"],
    ["\0\0\0 ftypisom", "a picture or a video"],
    ["RIFF....WEBP", "a picture or a video"],
    ["7z\xbc\xaf\x27\x1c....", "an archive"],
  ])("names what %j is instead", async (text, what) => {
    const error = await failure(Uint8Array.from(text, (c) => c.charCodeAt(0)));
    expect(error).toMatchObject({
      code: "HEADER_TOO_LARGE",
      message: `this is ${what}, not a safetensors file.`,
      fix: expect.any(String),
    });
  });
});

const json = (value: unknown) => JSON.stringify(value);

describe("each fault has its code", () => {
  it.each<[string, string, string | Uint8Array, number, RegExp]>([
    ["not JSON", "HEADER_NOT_JSON", "{oops}", 0, /not JSON/],
    ["not UTF-8", "HEADER_NOT_JSON", new Uint8Array([0x7b, 0xff, 0x7d]), 0, /UTF-8/],
    ["empty header", "HEADER_NOT_JSON", "", 0, /0 bytes/],
    ["a list", "HEADER_NOT_JSON", "[]", 0, /not an object/],
    ["null", "HEADER_NOT_JSON", "null", 0, /not an object/],
    ["deep nesting", "HEADER_NOT_JSON", "[".repeat(200_000), 0, /not JSON/],
    ["entry is no object", "HEADER_INVALID", json({ a: 3 }), 0, /"a"/],
    ["no dtype", "HEADER_INVALID", json({ a: { shape: [], data_offsets: [0, 0] } }), 0, /"a" has no dtype/],
    ["shape is a number", "HEADER_INVALID", json({ a: entry(0, 4, 1) }), 4, /shape of tensor "a"/],
    ["negative shape", "HEADER_INVALID", json({ a: entry(0, 4, [-1]) }), 4, /shape/],
    ["fractional shape", "HEADER_INVALID", json({ a: entry(0, 4, [0.5]) }), 4, /shape/],
    ["metadata is a list", "HEADER_INVALID", json({ __metadata__: [] }), 0, /__metadata__/],
    ["metadata holds a number", "HEADER_INVALID", json({ __metadata__: { n: 1 } }), 0, /__metadata__\.n/],
    ["metadata twice", "HEADER_INVALID", '{"__metadata__":{},"__metadata__":{}}', 0, /twice/],
    [
      "dtype twice",
      "HEADER_INVALID",
      '{"a":{"dtype":"F32","dtype":"F16","shape":[],"data_offsets":[0,2]}}',
      2,
      /"dtype"/,
    ],
    ["unknown dtype", "UNKNOWN_DTYPE", json({ a: entry(0, 4, [1], "Q4_K") }), 4, /"a".*"Q4_K"/],
    ["dtype of Object.prototype", "UNKNOWN_DTYPE", json({ a: entry(0, 4, [1], "toString") }), 4, /toString/],
    [
      "tensor twice",
      "DUPLICATE_TENSOR",
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\\u0061":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      1,
      /"a" twice/,
    ],
    [
      "size and shape differ",
      "SIZE_MISMATCH",
      json({ a: entry(0, 8, [3]) }),
      8,
      /"a" \(F32, \[3\]\) takes 12 bytes.*8/,
    ],
    ["shape beyond counting", "SIZE_MISMATCH", json({ a: entry(0, 8, [9e15, 9e15]) }), 8, /impossible/],
    ["half a byte", "SIZE_MISMATCH", json({ a: entry(0, 1, [3], "F4") }), 1, /impossible/],
    ["offsets backwards", "OFFSET_OUT_OF_RANGE", json({ a: entry(4, 0, [0]) }), 4, /"a".*\[4,0\]/],
    ["negative offset", "OFFSET_OUT_OF_RANGE", json({ a: entry(-4, 0, [1]) }), 4, /"a"/],
    ["no offsets", "OFFSET_OUT_OF_RANGE", json({ a: { dtype: "F32", shape: [] } }), 4, /"a"/],
    [
      "three offsets",
      "OFFSET_OUT_OF_RANGE",
      json({ a: { ...entry(0, 4), data_offsets: [0, 4, 8] } }),
      4,
      /"a"/,
    ],
    [
      "begins beyond the file",
      "OFFSET_OUT_OF_RANGE",
      json({ a: entry(4000, 4004) }),
      4,
      /"a" begins at byte/,
    ],
    [
      "overlap",
      "OFFSETS_OVERLAP",
      json({ a: entry(0, 8), b: entry(4, 12) }),
      12,
      /"b" begins at data byte 4, before tensor "a" ends \(8\)/,
    ],
    ["same bytes twice", "OFFSETS_OVERLAP", json({ a: entry(0, 8), b: entry(0, 8) }), 8, /before tensor/],
    [
      "hole at the start",
      "OFFSETS_NOT_CONTIGUOUS",
      json({ a: entry(4, 8) }),
      8,
      /4 bytes between the header and tensor "a"/,
    ],
    [
      "hole inside",
      "OFFSETS_NOT_CONTIGUOUS",
      json({ a: entry(0, 4), b: entry(8, 12) }),
      12,
      /between tensor "a" and tensor "b"/,
    ],
    ["bytes at the end", "OFFSETS_NOT_CONTIGUOUS", json({ a: entry(0, 4) }), 6, /2 bytes after tensor "a"/],
  ])("%s: %s", async (_, code, header, dataBytes, message) => {
    const error = await failure(fileOf(header, dataBytes));
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
    expect(error.fix).toBeTruthy();
  });
});
