import { memoryFolder } from "@lvsa/runtime";
import { describe, expect, it } from "vitest";
import { readCheckpointSettings } from "../../checkpoint/checkpoint-folder.js";
import { parseCheckpointSettings } from "./checkpoint-settings.js";

describe("lvsa.json", () => {
  it("states defaults and geometry; what it leaves out stays the family's", () => {
    expect(
      parseCheckpointSettings({
        reference_latent_frames: 5,
        window_size: 4,
        num_frames: 17,
        guidance_scale: 3,
      }),
    ).toEqual({
      defaults: { numFrames: 17, guidanceScale: 3 },
      geometry: { referenceTokenFrames: 5, lvsa: { windowSize: 4 } },
    });
    expect(parseCheckpointSettings({})).toEqual({ defaults: {}, geometry: {} });
    const few_steps = { lora: "loras/few.safetensors", preset: "demo-wan-4step" };
    expect(parseCheckpointSettings({ few_steps }).fewSteps).toEqual(few_steps);
    const latent_rgb = {
      factors: [
        [1, 2, 3],
        [4, 5, 6],
      ],
      bias: [7, 8, 9],
    };
    expect(parseCheckpointSettings({ latent_rgb }).latentColours).toEqual([
      [1, 4, 7],
      [2, 5, 8],
      [3, 6, 9],
    ]);
  });

  it.each<readonly [string, unknown, string]>([
    ["a key that it does not have", { referenceLatentFrames: 5 }, "referenceLatentFrames"],
    ["a number below 1", { reference_latent_frames: 0 }, "reference_latent_frames"],
    ["a text", { num_frames: "17" }, "num_frames"],
    ["no object", [], "expected object"],
    ...["../x.safetensors", "/etc/x", "a/../../x", "C:x", "a\\x", ""].map(
      (lora) =>
        [
          `the LoRA ${JSON.stringify(lora)}`,
          { few_steps: { lora, preset: "demo-wan-4step" } },
          "few_steps",
        ] as const,
    ),
    ["a student without a preset", { few_steps: { lora: "x.safetensors" } }, "preset"],
  ])("is refused with %s", (_, json, named) => {
    expect(() => parseCheckpointSettings(json)).toThrow(expect.objectContaining({ code: "BAD_CONFIG" }));
    expect(() => parseCheckpointSettings(json)).toThrow(named);
  });

  it("may be missing, but not be broken", async () => {
    expect(await readCheckpointSettings(memoryFolder({}))).toEqual({ defaults: {}, geometry: {} });
    await expect(readCheckpointSettings(memoryFolder({ "lvsa.json": "{" }))).rejects.toMatchObject({
      code: "BAD_JSON",
    });
  });
});
