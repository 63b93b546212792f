import { join } from "node:path";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import {
  floatTensor,
  type GoldenTensors,
  referenceCases,
  requireCases,
  testDevice,
} from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { caseTolerance } from "../../testing-support/case-tolerance.js";
import { ParityReport } from "../../testing-support/parity.js";
import { hasExpected, openCase, readJson, values } from "../../testing-support/reference-case.js";
import { Taps } from "../../testing-support/taps.js";
import { createOrReason } from "../../testing-support/unsupported.js";
import { CogVideoXTransformer3DModel } from "./transformer-cogvideox.js";

const cases = referenceCases("cogvideox").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

/** Prefixes of single forward passes: `a`, `x2`, … */
function prefixes(tensors: GoldenTensors): string[] {
  return Object.keys(tensors).flatMap((name) => /^(.+)\.hidden_states$/.exec(name)?.[1] ?? []);
}

/** The golden rotary tables repeat every value for both channels of its pair. */
function eachTwice(values: Float32Array): Float32Array {
  return Float32Array.from({ length: 2 * values.length }, (_, i) => values[i >> 1]!);
}

test("the reference folder holds CogVideoX cases", () => {
  requireCases(cases);
});

describe.each(cases)("$name", (reference) => {
  test("dense transformer stages equal diffusers", async (context) => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    const runs = prefixes(tensors);
    if (runs.length === 0) context.skip(`${reference.name} has no single forward passes`);
    const final = caseTolerance(parameters, "final", "out");
    const perLayer = caseTolerance(parameters, "per_layer", "final", "out");
    const report = new ParityReport(`${reference.name} transformer`, tensors);
    const before = device.memory().liveBytes;
    const folder = join(checkpoint, "transformer");
    const created = createOrReason(
      () => new CogVideoXTransformer3DModel(device, readJson(join(folder, "config.json"))),
    );
    if ("reason" in created) return context.skip(`${reference.name}: ${created.reason}`);
    const model = created;
    const source = await openWeights(nodeFolder(folder), "diffusion_pytorch_model");
    await model.load(source);
    await source.close();
    for (const prefix of runs) {
      const latents = floatTensor(tensors, `${prefix}.hidden_states`);
      const text = floatTensor(tensors, `${prefix}.text`);
      const inputs = [latents, text].map((t) => device.upload(t.data, t.shape));
      const taps = new Taps(device);
      const output = await model.forward({
        latents: inputs[0]!,
        timestep: values(tensors, `${prefix}.timestep`)[0]!,
        encoderHiddenStates: inputs[1]!,
        tap: taps.tap,
      });
      const kept = await taps.read();
      const golden = report.has(`${prefix}.dense_out`) ? `${prefix}.dense_out` : `${prefix}.out`;
      report.check(golden, await device.read(output), final, "out");
      output.dispose();
      for (const t of inputs) t.dispose();
      // The golden embedding is one sequence, text first.
      const embed = [kept.get("patch_embed.encoder")!, kept.get("patch_embed.hidden")!].flatMap((v) => [
        ...v,
      ]);
      if (report.has(`${prefix}.embed`)) report.check(`${prefix}.embed`, embed, perLayer, "embed");
      for (const [name, actual] of kept) {
        const stage = `${prefix}.${name}`;
        if (!report.has(stage)) continue;
        const twice = name.startsWith("rope_") ? eachTwice(actual) : actual;
        report.check(stage, twice, perLayer, name.replace(/\d+/, "{i}"));
      }
    }
    model.dispose();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });
});
