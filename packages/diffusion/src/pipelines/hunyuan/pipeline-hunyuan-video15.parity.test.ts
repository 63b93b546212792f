import type { Device } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { floatTensor, referenceCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { caseSettings } from "../../testing-support/case-settings.js";
import { caseTolerance } from "../../testing-support/case-tolerance.js";
import { checkSteps } from "../../testing-support/denoising-steps.js";
import { denoiseCase } from "../../testing-support/hunyuan-denoise.js";
import { validEmbeds } from "../../testing-support/hunyuan-inputs.js";
import { expectImageRun, withTokenizersOf } from "../../testing-support/image-run.js";
import { ParityReport } from "../../testing-support/parity.js";
import { hasExpected, openCase, values } from "../../testing-support/reference-case.js";
import { type ByteTolerance, expectFrames } from "../../testing-support/rgb-bytes.js";
import { unsupportedLoop } from "../../testing-support/unsupported.js";
import { withoutUndefined } from "../generation-start.js";
import type { HostTensor } from "../video-pipeline.js";
import { HunyuanVideo15Pipeline } from "./pipeline-hunyuan-video15.js";

interface Run {
  readonly num_frames: number;
  readonly height: number;
  readonly width: number;
  readonly num_inference_steps: number;
  readonly lvsa?: unknown;
}

const cases = referenceCases("hunyuan").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("the reference folder holds HunyuanVideo cases", () => {
  requireCases(cases);
});

describe.each(cases)("$name", (reference) => {
  test("dense generations from prompt and seed equal diffusers", async (context) => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    // Runs with LVSA are tested with its adapter.
    const runs = Object.entries((parameters.runs ?? {}) as Record<string, Run>).filter(
      ([, run]) => !run.lvsa,
    );
    if (runs.length === 0 || typeof parameters.prompt !== "string") {
      context.skip(`${reference.name} has no dense run from a prompt`);
    }
    const report = new ParityReport(`${reference.name} pipeline`, tensors);
    const before = device.memory().liveBytes;
    const pipeline = await HunyuanVideo15Pipeline.fromPretrained(nodeFolder(checkpoint), {
      device,
      precision: "f32",
    });
    const { uint8 } = parameters.tolerance as { uint8: ByteTolerance };

    for (const [name, run] of runs) {
      const seen = new Map<string, HostTensor>();
      const levels: number[] = [];
      const timesteps: number[] = [];
      const result = await pipeline.generate({
        prompt: parameters.prompt as string,
        negativePrompt: parameters.negative_prompt as string,
        numFrames: run.num_frames,
        height: run.height,
        width: run.width,
        numInferenceSteps: run.num_inference_steps,
        ...caseSettings(parameters),
        onTensor: (tensor, value) => seen.set(tensor, value),
        onStep: ({ memory, timestep }) => {
          levels.push(memory.liveBytes);
          timesteps.push(timestep);
        },
      });
      expect(new Set(levels).size, `memory after each step: ${levels}`).toBe(1);
      report.check(`${name}.timesteps`, timesteps, caseTolerance(parameters, "timesteps"));
      checkSteps(report, name, run.num_inference_steps, seen, parameters);
      expect(result.latents.shape).toEqual(floatTensor(tensors, `${name}.init_latents`).shape);
      const golden = values(tensors, `${name}.frames`);
      await expectFrames(`${reference.name} ${name} frames`, result.frames, golden, uint8);
    }
    pipeline.dispose();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });

  test("image to video from picture and latents equals diffusers, stage by stage", async (context) => {
    const opened = await openCase(reference);
    const { tensors, checkpoint } = opened;
    if (!tensors.cond_latents) context.skip(`${reference.name} has no picture`);
    const report = new ParityReport(`${reference.name} image to video`, tensors);
    const before = device.memory().liveBytes;
    const folder = withTokenizersOf(checkpoint, "hunyuan", "pipeline");
    const pipeline = await HunyuanVideo15Pipeline.fromPretrained(folder, { device, precision: "f32" });
    const embeds = (which: string) => validEmbeds(tensors, which);
    // No height and no width: they come from the picture.
    await expectImageRun(pipeline, opened, report, {
      stages: ["image_embeds", "image_latents"],
      noises: [],
      options: {
        initialLatents: floatTensor(tensors, "init_latents"),
        ...withoutUndefined({
          promptEmbeds: embeds("positive.text"),
          promptEmbeds2: embeds("positive.glyph"),
          negativePromptEmbeds: embeds("negative.text"),
          negativePromptEmbeds2: embeds("negative.glyph"),
        }),
      },
    });
    const promptEmbeds = embeds("positive.text")!;
    await expect(pipeline.generate({ promptEmbeds })).rejects.toMatchObject({ code: "IMAGE_NEEDED" });
    pipeline.dispose();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });

  test("dense denoising from given embeddings equals diffusers", async (context) => {
    const opened = await openCase(reference);
    if (!opened.tensors["positive.text_mask"] || opened.parameters.lvsa) {
      context.skip(`${reference.name} has no dense loop from embeddings`);
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
