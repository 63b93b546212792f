import { join } from "node:path";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { floatTensor, referenceCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ParityReport, type WanTolerances } from "../../testing-support/parity.js";
import { hasExpected, openCase, readJson, values } from "../../testing-support/reference-case.js";
import { T5EncoderModel } from "./t5-encoder.js";

const cases = referenceCases("wan").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("the reference folder holds Wan text cases", () => {
  requireCases(cases);
});

describe.each(cases)("$name", (reference) => {
  test("UMT5 embeddings of given ids equal the reference, and leave no memory behind", async (context) => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    const prompts = Object.keys(tensors).flatMap((n) => /^text\.(\w+)\.ids$/.exec(n)?.[1] ?? []);
    if (prompts.length === 0) context.skip(`${reference.name} has no text tensors`);
    const { single_pass } = (parameters.tolerances as WanTolerances).float32_compute;
    const report = new ParityReport(`${reference.name} UMT5`, tensors);
    const source = await openWeights(nodeFolder(join(checkpoint, "text_encoder")), "model");
    const encoder = new T5EncoderModel(
      device,
      source,
      readJson(join(checkpoint, "text_encoder", "config.json")),
    );
    const before = device.memory().liveBytes;
    for (const prompt of prompts) {
      const ids = values(tensors, `text.${prompt}.ids`);
      const mask = tensors[`text.${prompt}.mask`] ? values(tensors, `text.${prompt}.mask`) : ids.map(() => 1);
      const length = mask.reduce((a, b) => a + b, 0);
      const [out] = await encoder.encode([ids.slice(0, length)]);
      const got = await device.read(out!);
      out!.dispose();
      const padded = new Float32Array(floatTensor(tensors, `text.${prompt}.embeds`).data.length);
      padded.set(got);
      report.check(`text.${prompt}.embeds`, padded, single_pass, "embeds");
    }
    expect(device.memory().liveBytes).toBe(before);
    await source.close();
    report.finish();
  });
});
