import type { Device, LvsaError } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { floatTensor, referenceCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TorchCpuGenerator } from "../../random/index.js";
import { caseSettings } from "../../testing-support/case-settings.js";
import { caseTolerance } from "../../testing-support/case-tolerance.js";
import { denoiseCase } from "../../testing-support/cogvideox-denoise.js";
import { checkSteps } from "../../testing-support/denoising-steps.js";
import { expectImageRun, withTokenizersOf } from "../../testing-support/image-run.js";
import { ParityReport } from "../../testing-support/parity.js";
import { hasExpected, openCase, values } from "../../testing-support/reference-case.js";
import { type ByteTolerance, expectFrames } from "../../testing-support/rgb-bytes.js";
import { unsupportedLoop } from "../../testing-support/unsupported.js";
import type { HostTensor } from "../video-pipeline.js";
import { openCogVideoXPrompts } from "./cogvideox-prompts.js";
import { CogVideoXPipeline } from "./pipeline-cogvideox.js";

interface Run {
  readonly num_frames: number;
  readonly height: number;
  readonly width: number;
  readonly num_inference_steps: number;
  readonly lvsa?: unknown;
}

const cases = referenceCases("cogvideox").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

function thrown(run: () => unknown): LvsaError {
  try {
    run();
  } catch (error) {
    return error as LvsaError;
  }
  throw new Error("nothing was thrown");
}

test("the reference folder holds CogVideoX cases", () => {
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
    const folder = nodeFolder(checkpoint);
    const prompt = parameters.prompt as string;
    const negativePrompt = parameters.negative_prompt as string;

    const encoder = await openCogVideoXPrompts(device, folder);
    const length = parameters.max_sequence_length as number;
    const encoded = await encoder.embed([prompt, negativePrompt], length, {});
    for (const [i, { embeds, cuts }] of encoded.entries()) {
      const name = `${i === 0 ? "positive" : "negative"}.text`;
      report.check(name, embeds.data, caseTolerance(parameters, "embeddings"), "embeddings");
      expect(cuts).toEqual([]);
    }

    const pipeline = await CogVideoXPipeline.fromPretrained(folder, { device, precision: "f32" });
    const { uint8 } = parameters.tolerance as { uint8: ByteTolerance };

    for (const [name, run] of runs) {
      const seen = new Map<string, HostTensor>();
      const levels: number[] = [];
      const timesteps: number[] = [];
      const result = await pipeline.generate({
        prompt,
        negativePrompt,
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
      const { shape } = floatTensor(tensors, `${name}.init_latents`);
      expect(result.latents.shape).toEqual(shape);
      const noise = new TorchCpuGenerator(parameters.seed as number).randn(shape);
      report.check(`${name}.init_latents`, noise, caseTolerance(parameters, "init_latents"), "init_latents");
      report.check(`${name}.timesteps`, timesteps, caseTolerance(parameters, "timesteps"), "timesteps");
      checkSteps(report, name, run.num_inference_steps, seen, parameters);
      const golden = values(tensors, `${name}.frames`);
      expect(result.frameCount).toBe(tensors[`${name}.frames`]!.shape[0]);
      await expectFrames(`${reference.name} ${name} frames`, result.frames, golden, uint8);
    }
    pipeline.dispose();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });

  test("sizes that the model does not take are refused before anything runs", async (context) => {
    const { parameters, checkpoint } = await openCase(reference);
    if (typeof parameters.prompt !== "string") context.skip(`${reference.name} has no whole checkpoint`);
    const pipeline = await CogVideoXPipeline.fromPretrained(nodeFolder(checkpoint), { device });
    // Frames, height and width of a clip that it takes, and one more of each.
    const run = Object.values((parameters.runs ?? {}) as Record<string, Run>)[0]!;
    const size = [run.num_frames, run.height, run.width] as const;
    expect(() => pipeline.clip(...size)).not.toThrow();
    const error = thrown(() => pipeline.clip(size[0] + 1, size[1], size[2]));
    const advice = /^Use (\d+) or (\d+) frames\.$/
      .exec(error.fix ?? "")!
      .slice(1)
      .map(Number);
    expect(advice[0]).toBe(run.num_frames);
    for (const frames of advice) expect(() => pipeline.clip(frames, size[1], size[2])).not.toThrow();
    expect(thrown(() => pipeline.clip(size[0], size[1] + 1, size[2])).code).toBe("BAD_SIZE");
    expect(thrown(() => pipeline.clip(size[0], size[1], size[2] + 1)).code).toBe("BAD_SIZE");
    pipeline.dispose();
  });

  test("image to video from picture and seed equals diffusers, stage by stage", async (context) => {
    const opened = await openCase(reference);
    const { tensors, parameters, checkpoint } = opened;
    if (!tensors.image_latents) context.skip(`${reference.name} has no picture`);
    const report = new ParityReport(`${reference.name} image to video`, tensors);
    const before = device.memory().liveBytes;
    const pipeline = await CogVideoXPipeline.fromPretrained(
      withTokenizersOf(checkpoint, "cogvideox", "pipeline"),
      { device, precision: "f32" },
    );
    await expectImageRun(pipeline, opened, report, {
      stages: ["image_mean", "image_logvar", "image_latents"],
      noises: ["image_noise", "init_latents"],
      options: {
        promptEmbeds: floatTensor(tensors, "positive.text"),
        negativePromptEmbeds: floatTensor(tensors, "negative.text"),
        height: parameters.height as number,
        width: parameters.width as number,
        useDynamicGuidance: parameters.use_dynamic_cfg === true,
      },
    });
    const promptEmbeds = floatTensor(tensors, "positive.text");
    await expect(pipeline.generate({ promptEmbeds })).rejects.toMatchObject({ code: "IMAGE_NEEDED" });
    pipeline.dispose();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });

  test("denoising from given embeddings equals diffusers", async (context) => {
    const opened = await openCase(reference);
    const { tensors, parameters } = opened;
    if (!tensors["positive.text"] || !tensors.frames_round || parameters.lvsa) {
      context.skip(`${reference.name} has no dense loop from embeddings`);
    }
    const reason = unsupportedLoop(opened);
    if (reason) context.skip(reason);
    const before = device.memory().liveBytes;
    const report = new ParityReport(`${reference.name} loop`, tensors);
    await denoiseCase(device, opened, report);
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });
});
