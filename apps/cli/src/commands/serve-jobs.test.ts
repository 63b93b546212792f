/** What the server's jobs call `lvsa` with is what `lvsa` reads. */
import { resolve } from "node:path";
import { type VideoRequest, videoRequestSchema } from "@lvsa/jobs";
import { generateArguments } from "@lvsa/jobs/node";
import { Command } from "commander";
import { expect, it } from "vitest";
import { addGenerateOptions, parseGenerateOptions } from "../options/generate-options.js";
import { generationOptions } from "../options/generation-flags.js";

const request = {
  ...{ model: "tiny", prompt: "--a prompt=that begins with dashes", negativePrompt: "-blurry" },
  ...{ width: 832, height: 480, numFrames: 81, fps: 12.5 },
  ...{ numInferenceSteps: 7, guidanceScale: 3.5, flowShift: 8, seed: "-18446744073709551" },
  ...{ lvsa: true, image: "input.png" },
} satisfies Required<VideoRequest>;

it("every field of a request reaches the run, with its value", () => {
  expect(Object.keys(request).sort()).toEqual(Object.keys(videoRequestSchema.shape).sort());
  const models = new Map([["tiny", "/models/tiny"]]);
  const [command, ...words] = generateArguments({ request }, resolve("jobs/1"), { models });
  expect(command).toBe("generate");
  const flags = addGenerateOptions(new Command().exitOverride()).parse(words, { from: "user" }).opts();
  const options = parseGenerateOptions(flags);
  const { model: _model, lvsa, image, seed, ...numbers } = request;
  expect(options).toMatchObject({ model: "/models/tiny", lvsa, image: resolve("jobs/1", image) });
  expect({ ...generationOptions(options), prompt: options.prompt }).toMatchObject({
    ...numbers,
    seed: BigInt(seed),
  });
});
