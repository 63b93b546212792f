import type { Device } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { referenceCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { denoiseCase } from "../../testing-support/cosmos3-denoise.js";
import { type Cosmos3Run, expectRun } from "../../testing-support/cosmos3-run.js";
import { ParityReport } from "../../testing-support/parity.js";
import { hasExpected, openCase } from "../../testing-support/reference-case.js";
import { unsupportedLoop } from "../../testing-support/unsupported.js";
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
    await expect(
      pipeline.generate({ prompt: "", image: { data: new Uint8Array(3), width: 1, height: 1 } }),
    ).rejects.toThrow("an image was given");
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
