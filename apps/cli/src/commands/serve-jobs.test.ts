/** What the server's jobs call `lvsa` with is what `lvsa` reads. */
import { resolve } from "node:path";
import { type VideoRequest, videoRequestSchema } from "@lvsa/jobs";
import { generateArguments } from "@lvsa/jobs/node";
import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { addGenerateOptions, parseGenerateOptions } from "../options/generate-options.js";
import { generationOptions } from "../options/generation-flags.js";
import { addResumeOptions, parseResumeOptions } from "../options/run-file-options.js";
import { addServeOptions, parseServeOptions } from "../options/serve-options.js";
import { processArguments } from "./serve.js";

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

describe("ranks and previews of a server", () => {
  const served = (...words: string[]) =>
    parseServeOptions(addServeOptions(new Command().exitOverride()).parse(words, { from: "user" }).opts());

  it("reach the run; one that goes on is told its devices alone", () => {
    const sizes = ["--cfg-parallel-size", "2", "--context-parallel-size", "2"];
    const options = served(...sizes, "--devices", "pci:0000:3b:00.0, b,c,d", "--preview");
    const { deviceArguments, generateArguments: own } = processArguments(options);
    const models = new Map([["tiny", "/models/tiny"]]);
    const [, ...words] = generateArguments({ request }, resolve("jobs/1"), {
      ...{ models, args: deviceArguments, generateArgs: own },
    });
    const flags = addGenerateOptions(new Command().exitOverride()).parse(words, { from: "user" }).opts();
    const devices = ["pci:0000:3b:00.0", "b", "c", "d"];
    expect(parseGenerateOptions(flags)).toMatchObject({
      ...{ cfgParallelSize: 2, contextParallelSize: 2, devices, preview: "png", device: "auto" },
    });
    const resumed = addResumeOptions(new Command().exitOverride())
      .parse(["run", ...deviceArguments], { from: "user" })
      .opts();
    expect(parseResumeOptions({ ...resumed, file: "run" })).toMatchObject({ devices });
  });

  it("are refused where they do not fit together", () => {
    expect(() => served("--devices", "a,b")).toThrow("one device is --device");
    expect(() => served("--cfg-parallel-size", "2", "--devices", "a")).toThrow("names 1 devices for 2 ranks");
    expect(processArguments(served())).toEqual({ deviceArguments: [], generateArguments: [] });
  });
});
