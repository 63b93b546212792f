import { expect, test } from "vitest";
import { BUNDLED_MODEL } from "../bundled-model.js";
import { withStudent } from "../generate/checkpoint.js";
import { parseGenerateOptions } from "../options/generate-options.js";
import { generationOptions } from "../options/generation-flags.js";
import { parsePlanOptions } from "../options/plan-options.js";
import { plannedSampling } from "./planned-sampling.js";
import { resolveModel } from "./resolve-model.js";

/** Options of the command line that `plan` and `generate` both have. */
const given: readonly Readonly<Record<string, string>>[] = [
  {},
  { numFrames: "37" },
  { steps: "20" },
  { guidance: "1" },
  { prompt: "A ball.", negativePrompt: "blurred" },
  { stepCache: "easycache" },
];

test.each(given)("a plan with %o samples as the generation does", async (options) => {
  const resolved = await resolveModel({ model: BUNDLED_MODEL });
  const planned = await plannedSampling(resolved, parsePlanOptions({ model: BUNDLED_MODEL, ...options }));
  const asked = parseGenerateOptions({ model: BUNDLED_MODEL, prompt: "A ball.", ...options });
  const run = withStudent({ isBundled: false, student: resolved.student }, asked);
  expect(planned.preset).toBe(run.isStudent ? run.options.preset : undefined);
  expect(planned.merged !== undefined).toBe(run.isStudent);
  if (run.isStudent) expect(planned).toMatchObject({ numInferenceSteps: 4, guidanceScale: 1 });
  else {
    const { numInferenceSteps, guidanceScale } = generationOptions(asked);
    expect(planned).toEqual({ numInferenceSteps, guidanceScale });
  }
});

test("a model that is known by name has no student", async () => {
  const resolved = await resolveModel({ model: "wan2.1-t2v-1.3b" });
  const options = parsePlanOptions({ model: "wan2.1-t2v-1.3b", steps: "7" });
  expect(await plannedSampling(resolved, options)).toEqual({
    numInferenceSteps: 7,
    guidanceScale: undefined,
  });
});
