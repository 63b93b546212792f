/** Whole tiny generations of every family: `fast`, with activations in f16 where shaders have it, against `exact`. */
import { relativeL2, testDevice } from "@lvsa/runtime/testing";
import { expect, test } from "vitest";
import { generateTiny, tinyCases } from "../testing-support/tiny-pipelines.js";

/** Activations are rounded to 2^-11 in some hundred places; 3e-4 to 1.6e-3 were seen, on matrices too. */
const FAST = 1e-2;

const cases = await tinyCases();

const FAMILIES = ["wan", "hunyuan", "cogvideox", "cosmos3"];
// Other reference data may hold none; ours has one of each.
const isForeign = process.env.LVSA_REFERENCE_DIR !== undefined && cases.length === 0;
test.skipIf(isForeign)(
  `every family has a tiny generation${isForeign ? ": none in LVSA_REFERENCE_DIR" : ""}`,
  () => {
    expect(new Set(cases.map(({ family }) => family))).toEqual(new Set(FAMILIES));
  },
);

test.each(cases)("$name", async (one) => {
  const exact = await testDevice({ math: "exact" });
  const fast = await testDevice({ math: "fast" });
  try {
    if (!fast.info.f16) console.warn(`${one.name}: no f16 shaders here, only f16 storage is compared`);
    const want = await generateTiny(exact, one, "f32");
    const got = await generateTiny(fast, one, "f16");
    const error = relativeL2(got.latents, want.latents);
    console.log(`${one.name}: relative L2 of the final latents ${error.toExponential(1)}`);
    expect(error).toBeLessThan(FAST);
    // Nothing was rounded: then two equal devices were compared.
    expect(error).toBeGreaterThan(0);
  } finally {
    exact.dispose();
    fast.dispose();
  }
});
