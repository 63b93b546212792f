/** GGUF files that other programs write: versions, alignments, types, parts, and metadata of any kind. */
import { describe, expect, it } from "vitest";
import { isLvsaError } from "../../errors.js";
import { memorySource } from "../byte-source.js";
import { openWeightsFile } from "../open-file.js";
import { ggmlTypeNames } from "./ggml-types.js";
import { openGguf } from "./gguf-weights.js";

/** A value of the metadata with the number of its type. */
type Value =
  | { readonly type: number; readonly value: number | bigint | string }
  | { readonly array: number; readonly values: readonly (number | Value)[]; readonly count?: number };

interface Tensor {
  readonly name: string;
  /** In the file's order: the axis of rows first. */
  readonly sizes: readonly number[];
  readonly type: number;
  readonly data: Uint8Array;
  readonly offset?: number;
}

/** A writer of its own: the one of the package knows one version and one alignment. */
function gguf(
  tensors: readonly Tensor[],
  metadata: Readonly<Record<string, Value>> = {},
  { version = 3, alignment = 32, little = true, cut = 0, more = 0 } = {},
): Uint8Array {
  const bytes: number[] = [];
  const number = (size: number, set: (view: DataView) => void) => {
    const part = new Uint8Array(size);
    set(new DataView(part.buffer));
    bytes.push(...part);
  };
  const u32 = (value: number) => number(4, (view) => view.setUint32(0, value, little));
  const u64 = (value: number | bigint) => number(8, (view) => view.setBigUint64(0, BigInt(value), little));
  const text = (value: string) => {
    const encoded = new TextEncoder().encode(value);
    u64(encoded.length);
    bytes.push(...encoded);
  };
  const scalar = (type: number, value: number | bigint | string) => {
    if (type === 8) text(String(value));
    else if (type === 2 || type === 3) number(2, (view) => view.setUint16(0, Number(value), little));
    else if (type < 2 || type === 7) bytes.push(Number(value));
    else if (type === 6) number(4, (view) => view.setFloat32(0, Number(value), little));
    else if (type < 6) u32(Number(value));
    else if (type === 12) number(8, (view) => view.setFloat64(0, Number(value), little));
    else u64(value as number);
  };
  const write = (value: Value, withType = true) => {
    if ("type" in value) {
      if (withType) u32(value.type);
      scalar(value.type, value.value);
      return;
    }
    if (withType) u32(9);
    u32(value.array);
    u64(value.count ?? value.values.length);
    for (const one of value.values) typeof one === "number" ? scalar(value.array, one) : write(one, false);
  };
  bytes.push(...new TextEncoder().encode("GGUF"));
  u32(version);
  u64(tensors.length);
  u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    text(key);
    write(value);
  }
  const up = (at: number) => Math.ceil(at / alignment) * alignment;
  let end = 0;
  const places: number[] = [];
  for (const { name, sizes, type, data, offset } of tensors) {
    text(name);
    u32(sizes.length);
    for (const size of sizes) u64(size);
    u32(type);
    const at = offset ?? up(end);
    places.push(at);
    u64(at);
    end = Math.max(end, at + data.length);
  }
  const start = up(bytes.length);
  const file = new Uint8Array(start + end + more);
  file.set(bytes);
  for (const [i, { data }] of tensors.entries()) file.set(data, start + places[i]!);
  return file.subarray(0, file.length - cut);
}

const f32 = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
const TWO: readonly Tensor[] = [
  { name: "a", sizes: [3, 2], type: 0, data: f32(1, 2, 3, 4, 5, 6) },
  { name: "b", sizes: [3], type: 0, data: f32(7, 8, 9) },
];
const open = (file: Uint8Array) => openGguf(memorySource(file, "odd.gguf"));
async function errorOf(file: Uint8Array) {
  const error = await openWeightsFile({
    name: "odd.gguf",
    open: async () => memorySource(file, "odd.gguf"),
  }).then(
    () => undefined,
    (failure: unknown) => failure,
  );
  if (!isLvsaError(error)) throw new Error("the file was read", { cause: error });
  return error;
}
const floats = async (file: Uint8Array, name: string) => [
  ...new Float32Array((await (await open(file)).read(name)).slice().buffer),
];

describe("what other programs write is read", () => {
  it.each([2, 3])("version %i", async (version) => {
    expect(await floats(gguf(TWO, {}, { version }), "b")).toEqual([7, 8, 9]);
  });

  it.each([8, 16, 32, 64, 4096])("data at multiples of %i bytes", async (alignment) => {
    const metadata = { "general.alignment": { type: 4, value: alignment } };
    const weights = await open(gguf(TWO, metadata, { alignment }));
    expect(weights.info("a").shape).toEqual([2, 3]);
    expect(await floats(gguf(TWO, metadata, { alignment }), "b")).toEqual([7, 8, 9]);
  });

  it("values of all types", async () => {
    const metadata: Record<string, Value> = {
      u8: { type: 0, value: 255 },
      u16: { type: 2, value: 65535 },
      f32: { type: 6, value: 0.5 },
      bool: { type: 7, value: 1 },
      text: { type: 8, value: "猫" },
      u64: { type: 10, value: 5n },
      f64: { type: 12, value: 0.1 },
      list: { array: 3, values: [1, 2] },
    };
    const { values } = await open(gguf(TWO, metadata));
    expect(Object.fromEntries(values)).toEqual({
      ...{ u8: 255, u16: 65535, f32: 0.5, bool: true, text: "猫", u64: 5, f64: 0.1, list: [1, 2] },
    });
  });

  it("the only part of a file that was to be split", async () => {
    const whole = gguf(TWO, { "split.count": { type: 2, value: 1 }, "split.no": { type: 2, value: 0 } });
    expect(await floats(whole, "b")).toEqual([7, 8, 9]);
  });

  it("f16 beside bf16 and f32", async () => {
    const half = (...codes: number[]) => new Uint8Array(Uint16Array.from(codes).buffer);
    const weights = await open(
      gguf([
        { name: "f16", sizes: [2], type: 1, data: half(0x3c00, 0xc000) },
        { name: "bf16", sizes: [2], type: 30, data: half(0x3f80, 0xc000) },
        ...TWO,
      ]),
    );
    expect(weights.names().map((name) => weights.info(name).dtype)).toEqual(["F16", "BF16", "F32", "F32"]);
  });
});

describe("what can not be read is named", () => {
  const unread = { 4: "Q4_2", 9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 29: "IQ1_M", 33: "Q4_0_8_8" };
  const later = { 34: "TQ1_0", 38: "IQ4_NL_8_8", 39: "MXFP4", 40: "NVFP4", 41: "Q1_0", 42: "Q2_0" };
  it.each(Object.entries({ ...unread, ...later }))("type %s, %s", async (id, name) => {
    const file = gguf([{ name: "x", sizes: [256], type: Number(id), data: new Uint8Array(256) }]);
    const error = await errorOf(file);
    expect(error.code).toBe("UNSUPPORTED_QUANTIZATION");
    expect(error.message).toContain(`"x" is quantized with ${name},`);
    for (const known of ggmlTypeNames()) expect(error.fix).toContain(known);
  });

  it.each<[string, () => Uint8Array, string, RegExp]>([
    ["version 1", () => gguf(TWO, {}, { version: 1 }), "HEADER_INVALID", /version is 1/],
    ["version 4", () => gguf(TWO, {}, { version: 4 }), "HEADER_INVALID", /version is 4/],
    ["numbers in big endian", () => gguf(TWO, {}, { little: false }), "HEADER_INVALID", /big endian/],
    [
      "letters in big endian",
      () => Uint8Array.of(...new TextEncoder().encode("FUGG"), ...gguf(TWO).subarray(4)),
      "HEADER_TOO_LARGE",
      /GGUF file in big endian/,
    ],
    [
      "a part of a file",
      () => gguf(TWO, { "split.count": { type: 2, value: 2 }, "split.no": { type: 2, value: 1 } }),
      "SPLIT_FILE",
      /part 2 of "2"/,
    ],
    [
      "an array of arrays",
      () => gguf(TWO, { nested: { array: 9, values: [{ array: 4, values: [1] }] } }),
      "HEADER_INVALID",
      /"nested" is an array of arrays/,
    ],
    [
      "an array longer than the file",
      () => gguf(TWO, { long: { array: 8, values: [], count: 2 ** 40 } }),
      "HEADER_INVALID",
      /1099511627776 elements of "long"/,
    ],
    [
      "an alignment of nothing",
      () => gguf(TWO, { "general.alignment": { type: 4, value: 0 } }),
      "HEADER_INVALID",
      /alignment is 0/,
    ],
    [
      "an alignment that is no power of two",
      () => gguf(TWO, { "general.alignment": { type: 4, value: 48 } }, { alignment: 48 }),
      "HEADER_INVALID",
      /alignment is 48/,
    ],
    [
      "an alignment that the data do not have",
      () => gguf(TWO, { "general.alignment": { type: 4, value: 64 } }, { alignment: 32, more: 64 }),
      "OFFSETS_OVERLAP",
      /expected 64/,
    ],
    ["half of the data", () => gguf(TWO, {}, { cut: 8 }), "TRUNCATED", /file ends at byte/],
    [
      "two tensors in one place",
      () => gguf([TWO[0]!, { ...TWO[1]!, offset: 0 }]),
      "OFFSETS_OVERLAP",
      /expected 32/,
    ],
    [
      "an offset between two places",
      () => gguf([TWO[0]!, { ...TWO[1]!, offset: 36 }]),
      "OFFSETS_NOT_CONTIGUOUS",
      /expected 32/,
    ],
    [
      "rows that are no whole blocks",
      () => gguf([{ name: "x", sizes: [48, 2], type: 8, data: new Uint8Array(102) }]),
      "SIZE_MISMATCH",
      /"x" \(Q8_0, \[2, 48\]\)/,
    ],
  ])("%s", async (_what, make, code, message) => {
    const error = await errorOf(make());
    expect(error).toMatchObject({ code, message: expect.stringMatching(message), where: "odd.gguf" });
    expect(error.fix).not.toBe("");
  });

  it("metadata whose arrays would fill the memory", async () => {
    // Bytes of a file become numbers, which take eight times as much.
    const count = 2 ** 24 + 1;
    const start = gguf([], { a: { array: 0, values: [], count: 0 } });
    const file = new Uint8Array(start.length + count);
    file.set(start);
    new DataView(file.buffer).setBigUint64(24 + 8 + 1 + 4 + 4, BigInt(count), true);
    expect(await errorOf(file)).toMatchObject({
      code: "HEADER_INVALID",
      message: expect.stringMatching("16777216"),
    });
  });
});
