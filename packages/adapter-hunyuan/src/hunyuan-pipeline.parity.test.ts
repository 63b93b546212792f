import { installLvsa, LvsaAttentionProcessor } from "@lvsa/core";
import type { HostTensor } from "@lvsa/diffusion";
import { HunyuanVideo15Pipeline } from "@lvsa/diffusion/hunyuan";
import { caseSettings } from "@lvsa/diffusion/testing-support/case-settings";
import { checkSteps } from "@lvsa/diffusion/testing-support/denoising-steps";
import { denoiseCase } from "@lvsa/diffusion/testing-support/hunyuan-denoise";
import { ParityReport } from "@lvsa/diffusion/testing-support/parity";
import { hasExpected, openCase, values } from "@lvsa/diffusion/testing-support/reference-case";
import { type ByteTolerance, expectFrames } from "@lvsa/diffusion/testing-support/rgb-bytes";
import type { Device } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { referenceCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createHunyuanAdapter } from "./hunyuan-adapter.js";

interface StepPattern {
  readonly key_frame_interval: number;
  readonly global_indices: readonly number[];
  readonly attended_frames: readonly (readonly number[])[];
}

interface Run {
  readonly num_frames: number;
  readonly height: number;
  readonly width: number;
  readonly num_inference_steps: number;
  readonly lvsa?: {
    readonly reference_latent_frames: number;
    readonly window_size: number;
    readonly n_first_frames: number;
    readonly sparsity_scale: number;
    readonly per_step: readonly StepPattern[];
  };
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

type Processor = LvsaAttentionProcessor;

/** Anchors and attended frames of a step must be exactly those of the data. */
function expectPattern({ pattern }: Processor, expected: StepPattern, step: number): void {
  expect([...pattern!.globalFrames], `anchors of step ${step}`).toEqual(expected.global_indices);
  const attended = Array.from({ length: pattern!.rows }, (_, row) => [...pattern!.attendedFrames(row)]);
  expect(attended, `frames of step ${step}`).toEqual(expected.attended_frames);
}

describe.each(cases)("$name", (reference) => {
  test("sparse generations from prompt and seed equal the reference", async (context) => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    const runs = Object.entries((parameters.runs ?? {}) as Record<string, Run>).filter(([, run]) => run.lvsa);
    if (runs.length === 0 || typeof parameters.prompt !== "string") {
      context.skip(`${reference.name} has no sparse run from a prompt`);
    }
    const report = new ParityReport(`${reference.name} sparse pipeline`, tensors);
    const before = device.memory().liveBytes;
    const pipeline = await HunyuanVideo15Pipeline.fromPretrained(nodeFolder(checkpoint), {
      device,
      precision: "f32",
    });
    const { uint8 } = parameters.tolerance as { uint8: ByteTolerance };
    for (const [name, run] of runs) {
      const { lvsa } = run as Required<Run>;
      const factor = pipeline.geometry.temporalFactor;
      const installed = installLvsa(
        pipeline,
        createHunyuanAdapter({ referenceLatentFrames: lvsa.reference_latent_frames }),
        {
          config: {
            windowSize: lvsa.window_size * factor,
            nFirstFrames: lvsa.n_first_frames * factor,
            sparsityScale: lvsa.sparsity_scale,
          },
          strict: true,
        },
      );
      const seen = new Map<string, HostTensor>();
      const levels: number[] = [];
      const result = await pipeline.generate({
        prompt: parameters.prompt as string,
        negativePrompt: parameters.negative_prompt as string,
        numFrames: run.num_frames,
        height: run.height,
        width: run.width,
        numInferenceSteps: run.num_inference_steps,
        ...caseSettings(parameters),
        onTensor: (tensor, value) => seen.set(tensor, value),
        onStep: ({ index, memory }) => {
          levels.push(memory.liveBytes);
          expectPattern(installed.processor, lvsa.per_step[index]!, index);
        },
      });
      expect(new Set(levels).size, `memory after each step: ${levels}`).toBe(1);
      checkSteps(report, name, run.num_inference_steps, seen, parameters);
      const golden = values(tensors, `${name}.frames`);
      await expectFrames(`${reference.name} ${name} frames`, result.frames, golden, uint8);
      installed[Symbol.dispose]();
    }
    pipeline.dispose();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });

  test("sparse denoising from given embeddings equals the reference", async (context) => {
    const opened = await openCase(reference);
    const lvsa = opened.parameters.lvsa as
      | { ref: number; window: number; n_first: number; per_step: readonly StepPattern[] }
      | undefined;
    if (!opened.tensors["positive.text_mask"] || !lvsa) {
      context.skip(`${reference.name} has no sparse loop from embeddings`);
    }
    const { ref, window, n_first, per_step } = lvsa!;
    const before = device.memory().liveBytes;
    const report = new ParityReport(`${reference.name} sparse loop`, opened.tensors);
    const adapter = createHunyuanAdapter();
    const processor: Processor = new LvsaAttentionProcessor(adapter, {
      // The settings are in latent frames here: a temporal factor of 1 keeps them.
      temporalFactor: 1,
      referenceLatentFrames: ref,
      config: { windowSize: window, nFirstFrames: n_first },
      strict: true,
    });
    await denoiseCase(
      device,
      opened,
      report,
      (model) => adapter.installProcessor(model, processor),
      (step) => expectPattern(processor, per_step[step]!, step),
    );
    processor.dispose();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });
});
