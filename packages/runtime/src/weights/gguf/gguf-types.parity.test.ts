/** Every value of every type against ggml's own, by checksum, and metadata of every kind. */
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { fileSource } from "../../node/file-source.js";
import { readJson, referenceCases, requireCases } from "../../testing/reference.js";
import { widen } from "../widen.js";
import { openGguf } from "./gguf-weights.js";

interface TypesCase {
  readonly file: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly types: Readonly<Record<string, string>>;
  readonly parameters_after_loading: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly crc32_f32: number }>
  >;
}

const cases = referenceCases("formats").filter(({ name }) => name.startsWith("gguf-types"));

test("the reference folder holds a file with all types", () => {
  requireCases(cases);
});

describe.each(cases)("$name", ({ directory }) => {
  const golden = readJson<TypesCase>(join(directory, "case.json"));

  test("all numbers are ggml's, bit by bit", async () => {
    const weights = await openGguf(await fileSource(join(directory, golden.file)));
    const wrong: string[] = [];
    for (const [name, { shape, crc32_f32 }] of Object.entries(golden.parameters_after_loading)) {
      const info = weights.info(name);
      expect(info.shape, name).toEqual(shape);
      expect(info.stored?.dtype ?? info.dtype, name).toBe(golden.types[name]);
      const values = widen(await weights.read(name), info.dtype, name);
      if (crc32(new Uint8Array(values.buffer)) !== crc32_f32) wrong.push(name);
    }
    expect(wrong).toEqual([]);
    expect(weights.names().sort()).toEqual(Object.keys(golden.parameters_after_loading).sort());
    await weights.close();
  });

  test("metadata has its values", async () => {
    const weights = await openGguf(await fileSource(join(directory, golden.file)));
    for (const [key, value] of Object.entries(golden.metadata)) {
      const found = weights.values.get(key);
      expect(typeof found === "bigint" ? Number(found) : found, key).toEqual(value);
    }
    await weights.close();
  });
});
