/** Nothing that a stranger's file says reaches a terminal as a command, or as a line of ours. */
import { describe, expect, it } from "vitest";
import { WeightsError } from "./errors.js";
import { memoryFolder, memorySource, openSafetensors, openWeights } from "./weights/index.js";
import { encodeSafetensors } from "./weights/safetensors-writer.js";

const odd = "w\u001b]0;owned\u0007\nFix: run this\u202e";
// biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
const UNSAFE = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/;

describe("names from outside", () => {
  it("are escaped wherever an error shows them", () => {
    const shown = new WeightsError("X", `tensor ${odd}`, { where: odd, fix: odd }).describe();
    expect(shown).not.toMatch(UNSAFE);
    expect(shown).toContain("\\u001b]0;owned\\u0007");
    // The place is one line.
    expect(shown.split("\n")[0]).toContain("Fix: run this");
  });

  it("are quoted on one line and shortened by the messages of weights", async () => {
    const entry = { dtype: "F32" as const, shape: [1], data: Float32Array.of(1) };
    const weights = await openSafetensors(
      memorySource(encodeSafetensors({ [odd]: entry, [`${"x".repeat(70_000)}`]: entry })),
    );
    const long = "x".repeat(69_999);
    const failures = [
      () => weights.info(`${odd}.`),
      () => weights.info(long),
      () =>
        openWeights(
          memoryFolder({ "model.safetensors": encodeSafetensors({ [`${odd}.lora_A.weight`]: entry }) }),
          "model",
        ),
      () => openWeights(memoryFolder({ [`${odd}.gguf`]: "" }), "model"),
      () =>
        openWeights(
          memoryFolder({
            "model.safetensors.index.json": JSON.stringify({ weight_map: { a: `${odd}.safetensors` } }),
          }),
          "model",
        ),
    ];
    for (const fail of failures) {
      const error = await (async () => fail())().catch((reason: unknown) => reason as WeightsError);
      expect(error).toBeInstanceOf(WeightsError);
      const shown = (error as WeightsError).describe();
      expect(shown).not.toMatch(UNSAFE);
      expect(shown.length).toBeLessThan(800);
      expect(shown.split("\n").filter((line) => line.startsWith("Fix:")).length).toBeLessThanOrEqual(1);
    }
  });
});
