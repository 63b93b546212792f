/** An engine with LoRAs: what it changes, what it says, what it refuses, and that it closes the files. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type ByteSource, type Device, memorySource } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { referenceCases, relativeL2, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Engine } from "../engine/engine.js";
import { hasExpected, readJson } from "../testing-support/reference-case.js";
import type { LoraOptions } from "./lora-set.js";

const cases = referenceCases("lora").filter((one) => hasExpected(one) && one.name === "wan-t2v");
const clip = { prompt: "A cat.", numFrames: 5, height: 32, width: 48, numInferenceSteps: 2, seed: 3 };
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

it("the reference folder holds LoRAs", () => {
  requireCases(cases, "LoRAs");
});

describe.each(cases)("$name", ({ directory }) => {
  const { checkpoint, files } = readJson(join(directory, "case.json")) as unknown as {
    checkpoint: string;
    files: Record<string, { path: string }>;
  };
  let open = 0;
  const file = (name: string): ByteSource => {
    const path = files[name]?.path ?? `loras/${name}.safetensors`;
    const source = memorySource(readFileSync(join(directory, path)), `/home/somebody/${name}.safetensors`);
    open += 1;
    const close = async () => {
      open -= 1;
    };
    return Object.assign(source, { close });
  };
  const run = async (loras: LoraOptions[], precision: "f32" | "auto" = "f32") => {
    using engine = await Engine.open(nodeFolder(join(directory, checkpoint)), {
      ...{ device, precision, loras, registered: false },
    });
    const first = await engine.generate(clip);
    // Weights that left for the decoder come back with the LoRA.
    for await (const _ of first.frames);
    const { latents } = await engine.generate(clip);
    expect(latents.data).toEqual(first.latents.data);
    return first;
  };

  it("changes the clip by the weight of each LoRA, and says what of the model changed", async () => {
    const before = device.memory().liveBytes;
    const plain = await run([]);
    expect(plain.settings.loras).toBeNull();
    const half = await run([{ file: file("peft"), weight: 0.5 }]);
    // The names of the model's own repository.
    const original = await run([{ file: file("original-updown-alpha") }]);
    expect(relativeL2(original.latents.data, plain.latents.data)).toBeGreaterThan(0.01);
    const twice = await run([
      { file: file("peft"), weight: 0.25 },
      { file: file("peft"), weight: 0.25 },
    ]);
    expect(relativeL2(half.latents.data, plain.latents.data)).toBeGreaterThan(0.01);
    // The same sum in another order, through two steps in f32.
    expect(relativeL2(twice.latents.data, half.latents.data)).toBeLessThan(1e-4);
    expect(half.settings.loras).toBe("peft.safetensors:0.5 (transformer)");
    expect(half.notes).toContain(
      "LoRA peft.safetensors (weight 0.5) changes 20 of 69 tensors of transformer.",
    );
    const none = await run([{ file: file("peft"), weight: 0 }]);
    expect(none.latents.data).toEqual(plain.latents.data);
    expect(none.notes).toContain("LoRA peft.safetensors (weight 0) changes nothing.");
    // Rounded to the file's bf16: near the exact one, and not it.
    const rounded = await run([{ file: file("peft"), weight: 0.5 }], "auto");
    expect(relativeL2(rounded.latents.data, half.latents.data)).toBeLessThan(0.05);
    expect(open).toBe(0);
    expect(device.memory().liveBytes).toBe(before);
  });

  it.each([
    ["bad-unknown-block", {}, "LORA_UNKNOWN_KEY", /blocks\.7\.self_attn\.q/],
    ["peft", { weight: Number.NaN }, "BAD_OPTION", /peft.safetensors.*weight is NaN/],
    ["peft", { component: "transformer_2" }, "BAD_OPTION", /the checkpoint has no transformer_2/],
  ])("refuses %s %o when it opens, and leaves no file open", async (name, more, code, message) => {
    const loras = [{ file: file("peft") }, { file: file(name), ...more }, { file: file("peft") }];
    const error = await run(loras).catch((e) => e);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(open).toBe(0);
  });
});
