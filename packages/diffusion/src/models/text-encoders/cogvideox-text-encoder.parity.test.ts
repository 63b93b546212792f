import { join } from "node:path";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { referenceCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { caseTolerance } from "../../testing-support/case-tolerance.js";
import { ParityReport } from "../../testing-support/parity.js";
import { hasExpected, openCase, readJson, values } from "../../testing-support/reference-case.js";
import { T5EncoderModel } from "./t5-encoder.js";

const cases = referenceCases("cogvideox").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("the reference folder holds CogVideoX cases", () => {
  requireCases(cases);
});

describe.each(cases)("$name", (reference) => {
  test("T5 embeddings of text and attended padding equal the reference", async (context) => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    const prompts = Object.keys(tensors).flatMap((name) => /^(p\d+)\.ids$/.exec(name)?.[1] ?? []);
    if (prompts.length === 0) context.skip(`${reference.name} has no prompts of its own`);
    const report = new ParityReport(`${reference.name} T5`, tensors);
    const folder = join(checkpoint, "text_encoder");
    const source = await openWeights(nodeFolder(folder), "model");
    const encoder = new T5EncoderModel(device, source, readJson(join(folder, "config.json")));
    for (const prompt of prompts) {
      const [out] = await encoder.encode([values(tensors, `${prompt}.ids`)]);
      const embeds = await device.read(out!);
      report.check(`${prompt}.embeds`, embeds, caseTolerance(parameters, "final"), "embeds");
      out!.dispose();
    }
    expect(device.memory().liveBytes).toBe(0);
    await source.close();
    report.finish();
  });
});
