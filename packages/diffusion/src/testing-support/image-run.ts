/** Image-to-video cases of which the text side is given as embeddings: a whole run of the pipeline, stage by stage. */
import { fileURLToPath } from "node:url";
import type { FolderReader } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { floatTensor } from "@lvsa/runtime/testing";
import { expect } from "vitest";
import type { GenerateOptions, HostTensor, VideoPipeline } from "../pipelines/video-pipeline.js";
import { TorchCpuGenerator } from "../random/index.js";
import { caseTolerance } from "./case-tolerance.js";
import { imageOf } from "./image-encoder-runs.js";
import type { ParityReport } from "./parity.js";
import { type OpenedCase, values } from "./reference-case.js";
import { type ByteTolerance, expectFrames } from "./rgb-bytes.js";

/**
 * A checkpoint without tokenizers, with those of one of the repository's own: they are opened with the pipeline, and
 * unused where embeddings are given.
 */
export function withTokenizersOf(checkpoint: string, family: string, own: string): FolderReader {
  const base = nodeFolder(checkpoint);
  const path = `../../../../fixtures/reference/${family}/${own}/checkpoint`;
  const lender = nodeFolder(fileURLToPath(new URL(path, import.meta.url)));
  const of = (child = "") => (/^(text_)?tokenizer(_2)?(\/|$)/.test(child) ? lender : base);
  return {
    name: base.name,
    readText: (child) => of(child).readText(child),
    readBytes: (child) => of(child).readBytes(child),
    exists: (child) => of(child).exists(child),
    list: (child) => of(child).list(child),
    open: (child) => of(child).open(child),
  };
}

export interface ImageRunOptions {
  /** Stages that `onTensor` hears of, under these names of the case, with the tolerance of one pass. */
  readonly stages: readonly string[];
  /** In the order of the draws. */
  readonly noises: readonly string[];
  readonly options: Partial<GenerateOptions>;
  /** Hears of all tensors. */
  readonly onTensor?: GenerateOptions["onTensor"];
}

/** Generates with the case's picture and seed, and compares noise, stages, steps and frames. */
export async function expectImageRun(
  pipeline: VideoPipeline,
  { name, tensors, parameters }: OpenedCase,
  report: ParityReport,
  { stages, noises, options, onTensor }: ImageRunOptions,
): Promise<void> {
  // Cases that give the initial latents have no seed.
  const seed = (parameters.run_seed as number | undefined) ?? 0;
  const generator = new TorchCpuGenerator(seed);
  for (const noise of noises) {
    const drawn = generator.randn(floatTensor(tensors, noise).shape);
    report.check(noise, drawn, caseTolerance(parameters, "init_latents"), "noise");
  }
  const seen = new Map<string, HostTensor>();
  const timesteps: number[] = [];
  const levels: number[] = [];
  const conditionFrames = new Set<string>();
  using _watch = pipeline.attention.addHook("test", (call, next) => {
    if (call.geometry) conditionFrames.add(`${call.geometry.conditionFrames ?? []}`);
    return next(call);
  });
  const result = await pipeline.generate({
    ...{ image: imageOf(tensors, "image"), seed, numFrames: parameters.num_frames as number },
    ...{ numInferenceSteps: parameters.steps as number },
    guidanceScale: parameters.guidance_scale as number,
    ...options,
    onTensor: (tensor, value) => {
      seen.set(tensor, value);
      onTensor?.(tensor, value);
    },
    onStep: ({ timestep, memory }) => {
      timesteps.push(timestep);
      levels.push(memory.liveBytes);
    },
  });
  // Sparse attention hears which latent frames the picture gives.
  expect([...conditionFrames]).toEqual(["0"]);
  expect(new Set(levels).size, `memory after each step: ${levels}`).toBe(1);
  expect([result.height, result.width]).toEqual([parameters.height, parameters.width]);
  report.check("timesteps", timesteps, caseTolerance(parameters, "timesteps"));
  const embeddings = caseTolerance(parameters, "embeddings");
  for (const stage of stages) report.check(stage, seen.get(stage)!.data, embeddings);
  for (let i = 0; i < timesteps.length; i++) {
    for (const [heard, stage, group] of [
      ["noise_cond", "pred_positive", "pred"],
      ["noise_uncond", "pred_negative", "pred"],
      ["latents", "latents", "latents"],
    ] as const) {
      const tensor = seen.get(`step${i}.${heard}`);
      if (!tensor || !report.has(`step${i}.${stage}`)) continue;
      report.check(`step${i}.${stage}`, tensor.data, caseTolerance(parameters, group), stage);
    }
  }
  const { uint8 } = parameters.tolerance as { uint8: ByteTolerance };
  await expectFrames(`${name} frames`, result.frames, values(tensors, "frames_round"), uint8);
}
