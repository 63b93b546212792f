/** Reads every safetensors file of the reference data; skipped, with a line, where that folder is absent. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { WeightsError } from "../errors.js";
import { elementCount } from "../tensor/shape.js";
import { readSafetensors } from "./read-safetensors.js";
import { isForeignReference, referenceDirectory } from "./reference.js";

const root = referenceDirectory();
const files = await readdir(root, { recursive: true }).then(
  (names) => names.filter((name) => name.endsWith(".safetensors")),
  () => [],
);
if (files.length === 0) console.warn(`no reference data in ${root}: set LVSA_REFERENCE_DIR`);

describe.skipIf(files.length === 0)(`every safetensors file of ${root}`, () => {
  it("is read whole, with as many finite elements as its shapes say", async () => {
    for (const file of files) {
      const tensors = await readSafetensors(join(root, file)).catch((error: unknown) => {
        // Quantised files of other folders; the repository's own have none.
        if (!isForeignReference() || !(error instanceof WeightsError && error.code === "UNSUPPORTED_DTYPE"))
          throw error;
        console.warn(`skipped: ${file}: ${error.message}`);
        return undefined;
      });
      if (!tensors) continue;
      expect(Object.keys(tensors).length, file).toBeGreaterThan(0);
      for (const [name, { shape, data }] of Object.entries(tensors)) {
        expect(data.length, `${file} ${name}`).toBe(elementCount(shape));
        // Masks hold -Infinity; nothing is ever NaN.
        expect(data.some(Number.isNaN), `${file} ${name}`).toBe(false);
      }
    }
  });
});
