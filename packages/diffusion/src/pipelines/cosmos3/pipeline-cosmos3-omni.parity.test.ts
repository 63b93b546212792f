import type { Device } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { floatTensor, referenceCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { caseTolerance } from "../../testing-support/case-tolerance.js";
import { denoiseCase } from "../../testing-support/cosmos3-denoise.js";
import { type Cosmos3Run, expectRun } from "../../testing-support/cosmos3-run.js";
import { expectImageRun, withTokenizersOf } from "../../testing-support/image-run.js";
import { ParityReport } from "../../testing-support/parity.js";
import { hasExpected, openCase, values } from "../../testing-support/reference-case.js";
import { unsupportedLoop } from "../../testing-support/unsupported.js";
import type { HostTensor } from "../video-pipeline.js";
import { Cosmos3OmniPipeline } from "./pipeline-cosmos3-omni.js";

const cases = referenceCases("cosmos3").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("the reference folder holds Cosmos 3 cases", () => {
  requireCases(cases);
});

describe.each(cases)("$name", (reference) => {
  test("dense generations from prompt and seed equal diffusers", async (context) => {
    const opened = await openCase(reference);
    // Runs with LVSA are tested with its processor.
    const all = Object.entries((opened.parameters.runs ?? {}) as Record<string, Cosmos3Run>);
    const runs = all.filter(([, run]) => !run.lvsa);
    if (runs.length === 0) context.skip(`${reference.name} has no dense run from a prompt`);
    const report = new ParityReport(`${reference.name} pipeline`, opened.tensors);
    const before = device.memory().liveBytes;
    const pipeline = await Cosmos3OmniPipeline.fromPretrained(nodeFolder(opened.checkpoint), {
      device,
      precision: "f32",
    });
    for (const [name, run] of runs) await expectRun(pipeline, opened, name, run, report);
    const image = { data: new Uint8Array(3), width: 1, height: 1 };
    await expect(pipeline.generate({ prompt: "", image, numFrames: 1 })).rejects.toThrow("numFrames is 1");
    pipeline.dispose();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });

  test("image to video from picture and seed equals diffusers, stage by stage", async (context) => {
    const opened = await openCase(reference);
    const { tensors, parameters, checkpoint } = opened;
    if (!tensors.cond_latents) context.skip(`${reference.name} has no picture`);
    const report = new ParityReport(`${reference.name} image to video`, tensors);
    const before = device.memory().liveBytes;
    const folder = withTokenizersOf(checkpoint, "cosmos3", "pipeline");
    const pipeline = await Cosmos3OmniPipeline.fromPretrained(folder, { device, precision: "f32" });
    // The case gives ids instead of a tokenizer; the two that the pipeline adds are not part of the data.
    const ends = [parameters.eos_token_id as number, parameters.vision_start_id as number];
    const ids = ["positive", "negative"].map((which) => [...values(tensors, `${which}.input_ids`), ...ends]);
    Object.assign(pipeline, { promptIds: () => ids });
    const seen = new Map<string, HostTensor>();
    const options = {
      prompt: parameters.prompt as string,
      height: parameters.height as number,
      width: parameters.width as number,
      fps: parameters.fps as number,
    };
    await expectImageRun(pipeline, opened, report, {
      stages: ["image_preprocessed"],
      noises: ["noise"],
      options,
      onTensor: (name, tensor) => seen.set(name, tensor),
    });
    // Of the golden clip, which repeats the picture, the first frame counts.
    const { data, shape } = seen.get("cond_latents")!;
    const golden = floatTensor(tensors, "cond_latents");
    const cells = shape[3]! * shape[4]!;
    const frames = golden.shape[2]!;
    const firsts = golden.data.filter((_, i) => Math.floor(i / cells) % frames === 0);
    report.compare("cond_latents", data, firsts, caseTolerance(parameters, "embeddings"));
    pipeline.dispose();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });

  test("dense denoising from given token ids equals diffusers", async (context) => {
    const opened = await openCase(reference);
    if (!opened.tensors["positive.input_ids"] || opened.parameters.lvsa) {
      context.skip(`${reference.name} has no dense loop from token ids`);
    }
    const reason = unsupportedLoop(opened);
    if (reason) context.skip(reason);
    const before = device.memory().liveBytes;
    const report = new ParityReport(`${reference.name} loop`, opened.tensors);
    await denoiseCase(device, opened, report);
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });
});
