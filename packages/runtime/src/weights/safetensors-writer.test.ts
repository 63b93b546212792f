import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { floatTensor, readSafetensors } from "../testing/read-safetensors.js";
import { memorySource } from "./byte-source.js";
import { type SafetensorsDType, safetensorsDTypes, storedByteLength } from "./safetensors-dtype.js";
import { openSafetensors } from "./safetensors-weights.js";
import { encodeSafetensors } from "./safetensors-writer.js";
import { widen } from "./widen.js";

describe("encodeSafetensors", () => {
  it("comes back the same for any names, dtypes, shapes and metadata", async () => {
    const tensor = fc
      .tuple(
        fc.constantFrom(...safetensorsDTypes()),
        fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 4 }),
      )
      .map(([dtype, shape]): { dtype: SafetensorsDType; shape: number[] } => ({
        dtype,
        // Types below a byte need a whole number of bytes.
        shape: dtype.startsWith("F4") || dtype.startsWith("F6") ? [4, ...shape] : shape,
      }));
    const name = fc
      .string({ unit: "grapheme" })
      .filter((text) => text !== "__metadata__" && text !== "__proto__");
    const property = fc.asyncProperty(
      fc.dictionary(name, tensor, { maxKeys: 6 }),
      fc.dictionary(name, fc.string()),
      async (specs, metadata) => {
        let seed = 1;
        const tensors = Object.fromEntries(
          Object.entries(specs).map(([key, { dtype, shape }]) => {
            const data = new Uint8Array(storedByteLength(dtype, shape)!).map(
              () => (seed = (seed * 75 + 74) % 65537),
            );
            return [key, { dtype, shape, data }];
          }),
        );
        const weights = await openSafetensors(memorySource(encodeSafetensors(tensors, metadata)));
        expect(weights.names().sort()).toEqual(Object.keys(tensors).sort());
        expect(weights.metadata).toEqual(metadata);
        for (const [key, { dtype, shape, data }] of Object.entries(tensors)) {
          expect(weights.info(key)).toMatchObject({ dtype, shape });
          expect(await weights.read(key)).toEqual(data);
        }
      },
    );
    await fc.assert(property, { numRuns: 300, seed: 7 });
  });

  it("aligns every tensor to its elements, whatever the header's length", () => {
    for (const name of ["a", "ab", "abc", "abcdefgh"]) {
      const file = encodeSafetensors({
        bytes: { dtype: "U8", shape: [3], data: new Uint8Array(3) },
        [name]: { dtype: "F64", shape: [1], data: new Float64Array(1) },
        half: { dtype: "F16", shape: [1], data: new Uint16Array(1) },
      });
      const length = Number(new DataView(file.buffer).getBigUint64(0, true));
      const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
      expect((8 + length) % 8).toBe(0);
      expect(header[name].data_offsets).toEqual([0, 8]);
      expect(header.half.data_offsets).toEqual([8, 10]);
      expect(header.bytes.data_offsets).toEqual([10, 13]);
    }
  });

  it("refuses data that does not fit its shape", () => {
    expect(() => encodeSafetensors({ a: { dtype: "F32", shape: [3], data: new Float32Array(2) } })).toThrow(
      '"a" (F32, [3]) takes 12 bytes, 8 were given',
    );
    expect(() =>
      encodeSafetensors({ __metadata__: { dtype: "U8", shape: [0], data: new Uint8Array(0) } }),
    ).toThrow("kept for the file");
  });
});

describe("reading a file for tests", () => {
  it("widens each dtype", async () => {
    const folder = await mkdtemp(join(tmpdir(), "lvsa-golden-"));
    const path = join(folder, "golden.safetensors");
    const file = encodeSafetensors({
      // 1/3 rounds to 0x3eab in bf16 and to 0x3555 in f16; both widen exactly.
      bf16: { dtype: "BF16", shape: [2], data: Float32Array.of(1 / 3, -2) },
      f16: { dtype: "F16", shape: [2], data: Float32Array.of(1 / 3, 6.1e-5) },
      f64: { dtype: "F64", shape: [1], data: Float64Array.of(0.1) },
      i64: { dtype: "I64", shape: [2], data: BigInt64Array.of(-5n, 2147483647n) },
      bool: { dtype: "BOOL", shape: [2], data: Uint8Array.of(1, 0) },
      i16: { dtype: "I16", shape: [], data: Int16Array.of(-300) },
    });
    await writeFile(path, file);
    const tensors = await readSafetensors(path);
    await rm(folder, { recursive: true });
    expect(floatTensor(tensors, "bf16").data).toEqual(Float32Array.of(0.333984375, -2));
    expect(floatTensor(tensors, "f16").data).toEqual(Float32Array.of(0.333251953125, 6.097555160522461e-5));
    expect(tensors.f64).toMatchObject({ data: Float32Array.of(0.1), float64: Float64Array.of(0.1) });
    expect(tensors.i64).toMatchObject({ dtype: "I64", shape: [2], data: Int32Array.of(-5, 2147483647) });
    expect(tensors.bool!.data).toEqual(Uint8Array.of(1, 0));
    expect(tensors.i16).toMatchObject({ shape: [], data: Int32Array.of(-300) });
    expect(() => floatTensor(tensors, "bool")).toThrow("BOOL, not a float");
    expect(() => floatTensor(tensors, "none")).toThrow("bf16");
  });

  it("refuses integers beyond 32 bits and types that need a scale", () => {
    const large = new Uint8Array(BigInt64Array.of(1n, 2n ** 40n).buffer);
    expect(() => widen(large, "I64", "ids")).toThrow(/element 1 of tensor "ids".*1099511627776/);
    expect(() => widen(new Uint8Array(1), "F4", "packed")).toThrow(/"packed" is stored as F4/);
  });
});
