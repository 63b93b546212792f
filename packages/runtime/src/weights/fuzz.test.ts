/** Damaged files: each of thousands of seeded mutations is a `WeightsError` or loads, in bounded time. */
import { describe, expect, it } from "vitest";
import { WeightsError } from "../errors.js";
import { memorySource } from "./byte-source.js";
import { storedByteLength } from "./safetensors-dtype.js";
import { openSafetensors } from "./safetensors-weights.js";
import { encodeSafetensors, type TensorToWrite } from "./safetensors-writer.js";

const SEED = 20260131;
const MUTATIONS = 6000;

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

const tensors: Record<string, TensorToWrite> = {
  "blocks.0.attn1.to_q.weight": { dtype: "BF16", shape: [6, 4], data: new Float32Array(24).fill(0.5) },
  "blocks.0.attn1.to_q.bias": { dtype: "F32", shape: [6], data: new Float32Array(6).fill(2) },
  scalar: { dtype: "F64", shape: [], data: new Float64Array([1 / 3]) },
  ids: { dtype: "I64", shape: [3], data: new BigInt64Array([1n, -2n, 3n]) },
  mask: { dtype: "BOOL", shape: [5], data: new Uint8Array([1, 0, 1, 1, 0]) },
  empty: { dtype: "F16", shape: [0, 7], data: new Uint8Array(0) },
};
const original = encodeSafetensors(tensors, { format: "pt" });
const headerBytes = Number(new DataView(original.buffer).getBigUint64(0, true));
const headerText = new TextDecoder().decode(original.subarray(8, 8 + headerBytes));

function withHeader(text: string): Uint8Array {
  const json = new TextEncoder().encode(text);
  const data = original.subarray(8 + headerBytes);
  const file = new Uint8Array(8 + json.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  file.set(data, 8 + json.length);
  return file;
}

const NUMBERS = [
  "0",
  "-1",
  "1",
  "4",
  "96",
  "1e308",
  "1e-3",
  "9007199254740993",
  "4294967296",
  "null",
  '"8"',
  "[]",
  "{}",
  "true",
];
const SNIPPETS = [
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  '"',
  "\\",
  "\\u0000",
  "null",
  '"F32"',
  '"__proto__":1,',
  "[".repeat(500),
  " ",
];

const mutations: Record<string, (random: (below: number) => number) => Uint8Array> = {
  "bit flips": (random) => {
    const file = original.slice();
    for (let count = 1 + random(4); count > 0; count--) file[random(file.length)]! ^= 1 << random(8);
    return file;
  },
  "bit flips in length and header": (random) => {
    const file = original.slice();
    for (let count = 1 + random(3); count > 0; count--) file[random(8 + headerBytes)]! ^= 1 << random(8);
    return file;
  },
  truncation: (random) => original.slice(0, random(original.length)),
  "added bytes": (random) => {
    const file = new Uint8Array(original.length + 1 + random(64)).fill(random(256));
    file.set(original);
    return file;
  },
  "header length": (random) => {
    const file = original.slice();
    const length = [random(original.length * 2), random(2 ** 31) * 2 ** 20, headerBytes + random(17) - 8][
      random(3)
    ]!;
    new DataView(file.buffer).setBigUint64(0, BigInt(Math.max(0, length)), true);
    return file;
  },
  "header text": (random) => {
    const at = random(headerText.length);
    return withHeader(
      headerText.slice(0, at) + SNIPPETS[random(SNIPPETS.length)]! + headerText.slice(at + random(4)),
    );
  },
  "numbers of the header": (random) => {
    const count = headerText.match(/\d+/g)!.length;
    const chosen = random(count);
    let seen = 0;
    return withHeader(
      headerText.replace(/\d+/g, (old) => (seen++ === chosen ? NUMBERS[random(NUMBERS.length)]! : old)),
    );
  },
  "an entry under another name": (random) => {
    const names = [...Object.keys(tensors), "__metadata__", "__proto__"];
    const from = JSON.stringify(names[random(names.length)]);
    return withHeader(headerText.replace(`${from}:`, `${JSON.stringify(names[random(names.length)])}:`));
  },
  "offsets by a few bytes": (random) => {
    const moved = headerText.replace(/\[(\d+),(\d+)\]\}/g, (old, begin: string, end: string) =>
      random(3) > 0 ? old : `[${Number(begin) + random(9) - 4},${Number(end) + random(9) - 4}]}`,
    );
    return withHeader(moved);
  },
};

/** What a file that loads must keep: every tensor is readable, whole, and as large as its shape. */
async function readAll(file: Uint8Array): Promise<void> {
  const weights = await openSafetensors(memorySource(file, "mutated.safetensors"));
  let total = 0;
  for (const name of weights.names()) {
    const { dtype, shape, byteLength } = weights.info(name);
    expect(byteLength).toBe(storedByteLength(dtype, shape));
    expect((await weights.read(name)).length).toBe(byteLength);
    let streamed = 0;
    await weights.stream(name, 24, (chunk, offset) => {
      expect(offset).toBe(streamed);
      streamed += chunk.length;
    });
    expect(streamed).toBe(byteLength);
    total += byteLength;
  }
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  expect(8 + length + total).toBe(file.length);
  await weights.close();
}

describe(`${MUTATIONS} mutations with seed ${SEED}`, () => {
  it("starts from a file that loads", () => readAll(original));

  it("ends in a WeightsError or a load that adds up", async () => {
    const random = randomNumbers(SEED);
    const kinds = Object.entries(mutations);
    const outcomes = new Map<string, number>();
    for (let i = 0; i < MUTATIONS; i++) {
      const [kind, mutate] = kinds[i % kinds.length]!;
      const file = mutate(random);
      const started = process.cpuUsage();
      const code = await readAll(file).then(
        () => "loaded",
        (error: unknown) => {
          if (error instanceof WeightsError && error.where === "mutated.safetensors" && error.fix)
            return error.code;
          throw new Error(`mutation ${i} (${kind})`, { cause: error });
        },
      );
      // A file of 1 KB takes well under a millisecond; a second means that something runs away.
      // Of the processor's time, which other programs do not take.
      const { user, system } = process.cpuUsage(started);
      expect((user + system) / 1000, `mutation ${i} (${kind})`).toBeLessThan(1000);
      outcomes.set(code, (outcomes.get(code) ?? 0) + 1);
    }
    // The mutations must reach every check of the header, or this test looks at too little.
    expect([...outcomes.keys()].sort()).toEqual([
      "DUPLICATE_TENSOR",
      "HEADER_INVALID",
      "HEADER_NOT_JSON",
      "HEADER_TOO_LARGE",
      "OFFSETS_NOT_CONTIGUOUS",
      "OFFSETS_OVERLAP",
      "OFFSET_OUT_OF_RANGE",
      "SIZE_MISMATCH",
      "TRUNCATED",
      "UNKNOWN_DTYPE",
      "loaded",
    ]);
  });
});
