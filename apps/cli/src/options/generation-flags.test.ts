import { FamilyOptions } from "@lvsa/diffusion";
import { expect, it } from "vitest";
import { describeError } from "../exit-codes.js";

it("names no option that only programs have in what it advises", () => {
  const options = new FamilyOptions("Wan", ["promptEmbeds", "guidanceScale2"]);
  const said = (given: object) => {
    try {
      return String(options.parse({ prompt: "a", ...given }));
    } catch (error) {
      return describeError(error);
    }
  };
  expect(said({ numInferenceSteps: 0 })).toMatch(
    /^--steps: .*\nFix: The command's own --help lists its options\.$/s,
  );
  expect(said({ guidanceScale: -1, numFrames: 1.5 })).not.toMatch(/onStage|promptEmbeds|resumeFrom/);
});
