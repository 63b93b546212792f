/** Noise equal to `torch.randn`, to the last bit. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { floatTensor, referenceCases, referenceDirectory, requireCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { hasExpected, openCase } from "../testing-support/reference-case.js";
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
      requireCases(cases);
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

const runs = ["wan", "hunyuan", "cogvideox", "cosmos3"].flatMap((family) =>
  referenceCases(family)
    .filter(hasExpected)
    .map((reference) => ({ family, reference })),
);

describe("whole runs from a seed", () => {
  it("start from the noise that the pipelines drew, and go on with the scheduler's", async () => {
    let compared = 0;
    for (const { family, reference } of runs) {
      const { parameters, tensors } = await openCase(reference);
      // Other cases store a seed for their random weights, and inputs that were not drawn from it.
      if (parameters.pipeline === undefined || typeof parameters.seed !== "number") continue;
      for (const name of Object.keys(tensors)) {
        const prefix = name.match(/^(.*)init_latents$/)?.[1];
        if (prefix === undefined) continue;
        const { data, shape } = floatTensor(tensors, name);
        const generator = new TorchCpuGenerator(parameters.seed);
        expect(generator.randn(shape), `${family}/${reference.name} ${name}`).toEqual(data);
        compared++;
        for (const [step, draws] of ((parameters.noise_draws_per_step ?? []) as number[]).entries()) {
          let noise = new Float32Array();
          for (let i = 0; i < draws; i++) noise = generator.randn(shape);
          expect(noise, `${name} step ${step}`).toEqual(
            floatTensor(tensors, `${prefix}step${step}.noise`).data,
          );
        }
      }
    }
    if (compared === 0) console.warn("no whole run among the reference data: set LVSA_REFERENCE_DIR");
  });
});
