/** One run of a Cosmos 3 `pipeline` case, from prompt and seed to frames. */
import { floatTensor } from "@lvsa/runtime/testing";
import { expect } from "vitest";
import type { Cosmos3OmniPipeline } from "../pipelines/cosmos3/pipeline-cosmos3-omni.js";
import type { HostTensor } from "../pipelines/video-pipeline.js";
import { caseSettings } from "./case-settings.js";
import { caseTolerance } from "./case-tolerance.js";
import type { ParityReport } from "./parity.js";
import { type OpenedCase, values } from "./reference-case.js";
import { type ByteTolerance, expectFrames } from "./rgb-bytes.js";

/** An entry of `runs` in `case.json`. */
export interface Cosmos3Run {
  readonly num_frames: number;
  readonly height: number;
  readonly width: number;
  readonly num_inference_steps: number;
  readonly lvsa?: unknown;
}

/** Generates the run and compares every step and the frames. */
export async function expectRun(
  pipeline: Cosmos3OmniPipeline,
  { name: caseName, tensors, parameters }: OpenedCase,
  name: string,
  run: Cosmos3Run,
  report: ParityReport,
  afterStep: (index: number) => void = () => {},
): Promise<void> {
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
    onStep: ({ index, memory, timestep }) => {
      levels.push(memory.liveBytes);
      timesteps.push(timestep);
      afterStep(index);
    },
  });
  expect(new Set(levels).size, `memory after each step: ${levels}`).toBe(1);
  report.check(`${name}.timesteps`, timesteps, caseTolerance(parameters, "timesteps"));
  for (let i = 0; i < run.num_inference_steps; i++) {
    const step = `${name}.step${i}`;
    const pred = caseTolerance(parameters, "pred");
    report.check(`${step}.pred_positive`, seen.get(`step${i}.noise_cond`)!.data, pred, "pred_positive");
    // Guidance that is off predicts once a step.
    if (seen.has(`step${i}.noise_uncond`) || report.has(`${step}.pred_negative`))
      report.check(`${step}.pred_negative`, seen.get(`step${i}.noise_uncond`)!.data, pred, "pred_negative");
    const latents = seen.get(`step${i}.latents`)!.data;
    report.check(`${step}.latents`, latents, caseTolerance(parameters, "latents"), "latents");
  }
  const { shape } = floatTensor(tensors, `${name}.init_latents`);
  expect(result.latents.shape).toEqual(shape);
  const patch = pipeline.transformers[0].config.latent_patch_size;
  expect(pipeline.clip(run.num_frames, run.height, run.width)).toEqual({
    latentFrames: shape[2],
    patchesPerFrame: Math.ceil(shape[3]! / patch) * Math.ceil(shape[4]! / patch),
  });
  const { uint8 } = parameters.tolerance as { uint8: ByteTolerance };
  await expectFrames(`${caseName} ${name} frames`, result.frames, values(tensors, `${name}.frames`), uint8);
}
