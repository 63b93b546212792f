/** Noise equal to `torch.randn`, to the last bit. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { referenceDirectory } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { type NoiseDType, TorchCpuGenerator } from "./torch-generator.js";

interface NoiseCase {
  readonly seed: number;
  readonly shape: number[];
  readonly dtype: NoiseDType;
  /** All values, or the first 24 and the last 16. */
  readonly values: number[];
  readonly kept: string;
  readonly sum: number;
  readonly next4: number[];
}

const folder = join(referenceDirectory(), "random");
const files = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".json"));
if (files.length === 0) console.warn(`no reference data in ${folder}: set LVSA_REFERENCE_DIR`);

describe.skipIf(files.length === 0)("TorchCpuGenerator against torch.randn", () => {
  for (const file of files) {
    it(file, async () => {
      const { cases } = JSON.parse(await readFile(join(folder, file), "utf8")) as { cases: NoiseCase[] };
      expect(cases.length).toBeGreaterThan(0);
      for (const { seed, shape, dtype, values, kept, next4 } of cases) {
        const label = `seed ${seed} shape ${shape} ${dtype}`;
        const generator = new TorchCpuGenerator(seed);
        const drawn = Array.from(generator.randn(shape, dtype));
        expect(kept === "all" ? drawn : [...drawn.slice(0, 24), ...drawn.slice(-16)], label).toEqual(values);
        expect(Array.from(generator.randn([4], dtype)), `${label}, next 4`).toEqual(next4);
      }
    });
  }
});
