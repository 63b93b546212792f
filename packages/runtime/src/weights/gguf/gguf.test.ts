import { describe, expect, it } from "vitest";
import { WeightsError } from "../../errors.js";
import { memorySource } from "../byte-source.js";
import type { WeightSource } from "../weight-source.js";
import { decodeQ4_1, decodeQ5_0, decodeQ5_1 } from "./decode-blocks.js";
import { openGguf } from "./gguf-weights.js";
import { encodeGguf } from "./gguf-writer.js";

/** mulberry32: small, seeded, and the same everywhere. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Rows of Q8_0 whose every block has the scale 0.5. */
function q8(count: number): Uint8Array {
  const out = new Uint8Array((count / 32) * 34);
  for (let block = 0; block < count / 32; block++) {
    out.set([0x00, 0x38], block * 34);
    for (let i = 0; i < 32; i++) out[block * 34 + 2 + i] = (block * 32 + i) & 0xff;
  }
  return out;
}
const numberAt = (i: number) => (((i & 0xff) << 24) >> 24) / 2;

const TENSORS = {
  "a.weight": { type: "Q8_0", shape: [3, 64], data: q8(192) },
  "a.bias": { type: "F32", shape: [3], data: new Float32Array([1, -2, 3]) },
  "b.weight": { type: "BF16", shape: [2, 5], data: new Uint16Array(10).fill(0x3f80) },
} as const;
const METADATA = {
  "general.architecture": "wan",
  big: 2 ** 53 + 2,
  huge: 2n ** 63n,
  negative: -7,
  flags: [true, false],
  words: ["a", "", "猫"],
};

const open = (file: Uint8Array) => openGguf(memorySource(file, "test.gguf"));
async function floats(weights: WeightSource, name: string, range?: [number, number]): Promise<number[]> {
  const bytes = await weights.read(
    name,
    range && { byteOffset: range[0] * 4, byteLength: (range[1] - range[0]) * 4 },
  );
  return [...new Float32Array(bytes.slice().buffer)];
}
async function codeOf(file: Uint8Array): Promise<string> {
  const error = await open(file).then(
    () => undefined,
    (failure: unknown) => failure,
  );
  expect(error).toBeInstanceOf(WeightsError);
  expect((error as WeightsError).message).not.toBe("");
  return (error as WeightsError).code;
}

describe("a GGUF file", () => {
  it("presents blocks as floats under their names, with the axes in the usual order", async () => {
    const weights = await open(encodeGguf(TENSORS, METADATA));
    expect(weights.names()).toEqual(["a.weight", "a.bias", "b.weight"]);
    expect(weights.info("a.weight")).toEqual({
      ...{ dtype: "F32", shape: [3, 64], byteLength: 768, file: "test.gguf" },
      stored: { dtype: "Q8_0", byteLength: 204 },
    });
    expect(weights.info("b.weight")).toMatchObject({ dtype: "BF16", shape: [2, 5], byteLength: 20 });
    expect(await floats(weights, "a.weight")).toEqual(Array.from({ length: 192 }, (_, i) => numberAt(i)));
    expect(await floats(weights, "a.bias")).toEqual([1, -2, 3]);
    expect(weights.parameterCount).toBe(192 + 3 + 10);
    expect(weights.values.get("huge")).toBe(2n ** 63n);
    expect(weights.values.get("negative")).toBe(-7);
    expect(weights.values.get("words")).toEqual(["a", "", "猫"]);
    expect(weights.metadata).toEqual({ "general.architecture": "wan" });
  });

  it("reads ranges that begin and end inside of blocks, and streams pieces that join to the whole", async () => {
    const weights = await open(encodeGguf(TENSORS, METADATA));
    for (const [from, to] of [
      ...([
        [0, 192] as const,
        [5, 6] as const,
        [31, 33] as const,
        [32, 64] as const,
        [7, 7] as const,
      ] as const),
      [33, 191] as const,
    ]) {
      expect(await floats(weights, "a.weight", [from, to])).toEqual(
        Array.from({ length: to - from }, (_, i) => numberAt(from + i)),
      );
    }
    const pieces: number[] = [];
    await weights.stream("a.weight", 100, (chunk, at) => {
      expect(at).toBe(pieces.length * 4);
      expect(chunk.length).toBeLessThanOrEqual(100);
      pieces.push(...new Float32Array(chunk.slice().buffer));
    });
    expect(pieces).toEqual(Array.from({ length: 192 }, (_, i) => numberAt(i)));
    await expect(weights.read("a.weight", { byteOffset: 2, byteLength: 4 })).rejects.toMatchObject({
      code: "RANGE_SPLITS_ELEMENT",
    });
    await expect(weights.read("a.weight", { byteOffset: 0, byteLength: 772 })).rejects.toMatchObject({
      code: "RANGE_OUTSIDE_TENSOR",
    });
    await expect(weights.read("c")).rejects.toMatchObject({ code: "MISSING_TENSOR" });
  });

  it("has the shape that comfy.gguf.orig_shape notes, and refuses one of another size", async () => {
    const key = "comfy.gguf.orig_shape.a.weight";
    const weights = await open(encodeGguf(TENSORS, { [key]: [4, 4, 1, 12] }));
    expect(weights.info("a.weight").shape).toEqual([4, 4, 1, 12]);
    expect(await codeOf(encodeGguf(TENSORS, { [key]: [4, 4] }))).toBe("HEADER_INVALID");
    expect(await codeOf(encodeGguf(TENSORS, { [key]: "x" }))).toBe("HEADER_INVALID");
  });

  it("decodes the types with a minimum or a fifth bit", () => {
    const out = new Float32Array(32);
    // d = 0.5, m = -1; the numbers count 0 to 15 twice.
    const nibbles = Array.from({ length: 16 }, (_, i) => i | (i << 4));
    decodeQ4_1(Uint8Array.of(0x00, 0x38, 0x00, 0xbc, ...nibbles), out);
    expect([...out]).toEqual(Array.from({ length: 32 }, (_, i) => (i % 16) / 2 - 1));
    // Only the second half of the 32 has its fifth bit set.
    decodeQ5_0(Uint8Array.of(0x00, 0x38, 0, 0, 0xff, 0xff, ...nibbles), out);
    expect([...out]).toEqual(Array.from({ length: 32 }, (_, i) => (i - 16) / 2));
    decodeQ5_1(Uint8Array.of(0x00, 0x38, 0x00, 0xbc, 0, 0, 0xff, 0xff, ...nibbles), out);
    expect([...out]).toEqual(Array.from({ length: 32 }, (_, i) => i / 2 - 1));
  });
});

describe("a damaged or hostile GGUF file", () => {
  const file = encodeGguf(TENSORS, METADATA);
  const changed = (at: number, ...bytes: number[]) => {
    const copy = file.slice();
    copy.set(bytes, at);
    return copy;
  };
  const find = (text: string) => {
    const at = new TextDecoder("latin1").decode(file).indexOf(text);
    expect(at).toBeGreaterThan(0);
    return at;
  };
  /** Behind name, axes and sizes. */
  const typeAt = find("a.weight") + 8 + 4 + 16;

  it.each([
    ["no letters GGUF", () => changed(0, 0x58), "HEADER_INVALID"],
    ["version 1", () => changed(4, 1), "HEADER_INVALID"],
    ["big endian", () => changed(4, 0, 0, 0, 3), "HEADER_INVALID"],
    ["2^62 tensors", () => changed(8, 0, 0, 0, 0, 0, 0, 0, 0x40), "HEADER_INVALID"],
    ["a billion tensors", () => changed(8, 0, 0xca, 0x9a, 0x3b), "HEADER_INVALID"],
    ["2^40 entries of metadata", () => changed(16, 0, 0, 0, 0, 0, 1), "HEADER_INVALID"],
    ["a key longer than the file", () => changed(24, 0xff, 0xff), "HEADER_INVALID"],
    ["a key that is no text", () => changed(32, 0xff), "HEADER_INVALID"],
    ["the unknown type 99", () => changed(typeAt, 99), "UNKNOWN_DTYPE"],
    ["IQ2_XXS", () => changed(typeAt, 16), "UNSUPPORTED_QUANTIZATION"],
    ["blocks that do not divide the rows", () => changed(typeAt, 12), "SIZE_MISMATCH"],
    ["200 axes", () => changed(typeAt - 20, 200), "HEADER_INVALID"],
    [
      "an offset inside of another tensor",
      () => changed(find("a.bias") + 6 + 4 + 8 + 4, 32),
      "OFFSETS_OVERLAP",
    ],
    ["an offset beyond the file", () => changed(typeAt + 4, 0, 0, 0, 1), "OFFSET_OUT_OF_RANGE"],
    ["a cut in the data", () => file.subarray(0, -60), "TRUNCATED"],
    ["a cut in the header", () => file.subarray(0, 100), "TRUNCATED"],
    ["nothing", () => new Uint8Array(0), "TRUNCATED"],
  ])("%s is an error with a name", async (_, make, code) => {
    expect(await codeOf(make())).toBe(code);
  });

  it("refuses a name that stands twice", async () => {
    expect(await codeOf(changed(find("b.weight"), 0x61))).toBe("DUPLICATE_TENSOR");
    expect(await codeOf(changed(find("words"), ...new TextEncoder().encode("flags")))).toBe("HEADER_INVALID");
  });

  it("each of thousands of seeded mutations is a WeightsError or loads", async () => {
    const seed = 20261127;
    console.log(`gguf mutations: seed ${seed}`);
    const random = randomNumbers(seed);
    let refused = 0;
    // Also of a file whose tensors have other shapes than they are stored in, and of a part.
    const shaped = { ...METADATA, "comfy.gguf.orig_shape.a.weight": [4, 4, 1, 12] };
    const files = [
      file,
      encodeGguf(TENSORS, { ...shaped, "general.alignment": 32, "split.count": 1 }),
      encodeGguf(TENSORS, { "split.no": 0, "split.count": 2 }),
    ];
    for (let round = 0; round < 4000; round++) {
      const whole = files[random(files.length)]!;
      const copy = whole.slice(0, random(4) === 0 ? random(whole.length) : whole.length);
      for (let i = 0; i <= random(3) && copy.length > 0; i++) copy[random(copy.length)] = random(256);
      try {
        const weights = await open(copy);
        for (const name of weights.names()) await weights.read(name);
      } catch (error) {
        expect(error, `seed ${seed}, round ${round}`).toBeInstanceOf(WeightsError);
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(1000);
  });
});
