import { Cosmos3OmniPipeline } from "@lvsa/diffusion/cosmos3";
import { denoiseCase } from "@lvsa/diffusion/testing-support/cosmos3-denoise";
import { type Cosmos3Run, expectRun } from "@lvsa/diffusion/testing-support/cosmos3-run";
import { ParityReport } from "@lvsa/diffusion/testing-support/parity";
import { hasExpected, openCase } from "@lvsa/diffusion/testing-support/reference-case";
import type { Device } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { floatTensor, referenceCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cosmos3LvsaProcessor } from "./cosmos3-lvsa-processor.js";
import { type Cosmos3LvsaInstallation, installCosmos3Lvsa } from "./install-cosmos3-lvsa.js";

interface StepPattern {
  readonly global_indices: readonly number[];
  readonly attended_frames: readonly (readonly number[])[];
}

interface SparseRun extends Cosmos3Run {
  readonly lvsa: {
    readonly reference_latent_frames: number;
    readonly window_size_video_frames: number;
    readonly n_first_video_frames: number;
    readonly sparsity_scale: number;
    readonly tokens_per_frame: number;
    readonly per_step: readonly StepPattern[];
  };
}

const cases = referenceCases("cosmos3").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

/** Anchors and attended frames of a step must be exactly those of the data. */
function expectPattern({ pattern }: Cosmos3LvsaProcessor, expected: StepPattern, step: number): void {
  expect([...pattern.globalFrames], `anchors of step ${step}`).toEqual(expected.global_indices);
  const attended = Array.from({ length: pattern.rows }, (_, row) => [...pattern.attendedFrames(row)]);
  expect(attended, `frames of step ${step}`).toEqual(expected.attended_frames);
}

test("the reference folder holds Cosmos 3 cases", () => {
  requireCases(cases);
});

describe.each(cases)("$name", (reference) => {
  test("sparse generations from prompt and seed equal the reference", async (context) => {
    const opened = await openCase(reference);
    const all = Object.entries((opened.parameters.runs ?? {}) as Record<string, SparseRun>);
    const runs = all.filter(([, run]) => run.lvsa);
    if (runs.length === 0) context.skip(`${reference.name} has no sparse run from a prompt`);
    const report = new ParityReport(`${reference.name} sparse pipeline`, opened.tensors);
    const before = device.memory().liveBytes;
    const pipeline = await Cosmos3OmniPipeline.fromPretrained(nodeFolder(opened.checkpoint), {
      device,
      precision: "f32",
    });
    const { spatialFactor, temporalFactor } = pipeline.geometry as Required<typeof pipeline.geometry>;
    for (const [name, run] of runs) {
      const { lvsa } = run;
      const installed = installCosmos3Lvsa(pipeline.transformers[0], {
        numFrames: run.num_frames,
        height: run.height,
        width: run.width,
        spatialFactor,
        temporalFactor,
        referenceLatentFrames: lvsa.reference_latent_frames,
        config: {
          windowSize: lvsa.window_size_video_frames,
          nFirstFrames: lvsa.n_first_video_frames,
          sparsityScale: lvsa.sparsity_scale,
        },
      });
      expect(installed.clip.patchesPerFrame).toBe(lvsa.tokens_per_frame);
      await expectRun(pipeline, opened, name, run, report, (step) =>
        expectPattern(installed.processor, lvsa.per_step[step]!, step),
      );
      installed[Symbol.dispose]();
    }
    pipeline.dispose();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });

  test("sparse denoising from given token ids equals the reference", async (context) => {
    const opened = await openCase(reference);
    const lvsa = opened.parameters.lvsa as
      | { ref: number; window: number; n_first: number; per_step: readonly StepPattern[] }
      | undefined;
    if (!opened.tensors["positive.input_ids"] || !lvsa) {
      context.skip(`${reference.name} has no sparse loop from token ids`);
    }
    const { ref, window, n_first, per_step } = lvsa!;
    const [, , T, h, w] = floatTensor(opened.tensors, "init_latents").shape as [
      number,
      number,
      number,
      number,
      number,
    ];
    const before = device.memory().liveBytes;
    const report = new ParityReport(`${reference.name} sparse loop`, opened.tensors);
    let installed: Cosmos3LvsaInstallation | undefined;
    await denoiseCase(
      device,
      opened,
      report,
      (model) => {
        installed = installCosmos3Lvsa(model, {
          numFrames: (T - 1) * 4 + 1,
          height: h * 16,
          width: w * 16,
          referenceLatentFrames: ref,
          config: { windowSize: window, nFirstFrames: n_first },
        });
        return installed;
      },
      (step) => expectPattern(installed!.processor, per_step[step]!, step),
    );
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });
});
