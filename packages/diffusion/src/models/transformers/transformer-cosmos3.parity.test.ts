import { join } from "node:path";
import { type Device, openWeights, type Tensor } from "@lvsa/runtime";
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
import { cosmos3TextRotary } from "./cosmos3-positions.js";
import { Cosmos3OmniTransformer } from "./transformer-cosmos3.js";

const cases = referenceCases("cosmos3").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

/** Prefixes of single dense passes: `a`, `x2`, … */
function prefixes(tensors: GoldenTensors): string[] {
  const found = Object.keys(tensors).flatMap((name) => /^(\w+)\.(?:out|dense_out)$/.exec(name)?.[1] ?? []);
  return found.filter((prefix) => tensors[`${prefix}.input_ids`]);
}

/** Both halves of a head turn by the same angles, which the golden tables repeat. */
function bothHalves(table: Float32Array, pairs: number): number[] {
  const rows = Array.from({ length: table.length / pairs }, (_, i) =>
    table.subarray(i * pairs, (i + 1) * pairs),
  );
  return rows.flatMap((row) => [...row, ...row]);
}

test("the reference folder holds Cosmos 3 cases", () => {
  requireCases(cases);
});

describe.each(cases)("$name", (reference) => {
  test("transformer stages equal diffusers", async (context) => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    const runs = prefixes(tensors);
    if (runs.length === 0) context.skip(`${reference.name} has no single forward passes`);
    const final = caseTolerance(parameters, "final", "out");
    const perLayer = caseTolerance(parameters, "per_layer", "final", "out");
    const report = new ParityReport(`${reference.name} transformer`, tensors);
    const folder = join(checkpoint, "transformer");
    const model = new Cosmos3OmniTransformer(device, readJson(join(folder, "config.json")));
    const source = await openWeights(nodeFolder(folder), "diffusion_pytorch_model");
    await model.load(source);
    const loaded = device.memory().liveBytes;
    for (const prefix of runs) {
      const taps = new Taps(device);
      const ids = values(tensors, `${prefix}.input_ids`);
      const [understanding] = await model.understand(source, [ids], { tap: taps.tap });
      const { fps } = ((parameters.shapes as Record<string, { fps?: number }>)?.[prefix] ?? {}) as {
        fps?: number;
      };
      const golden = floatTensor(tensors, `${prefix}.latents`);
      const latents = device.upload(golden.data, golden.shape);
      const output: Tensor = await model.forward({
        latents,
        timestep: values(tensors, `${prefix}.timestep`)[0]!,
        understanding: understanding!,
        ...(fps === undefined ? {} : { fps }),
        tap: taps.tap,
      });
      const kept = await taps.read();
      const name = report.has(`${prefix}.dense_out`) ? `${prefix}.dense_out` : `${prefix}.out`;
      report.check(name, await device.read(output), final, "out");
      for (const tensor of [latents, output]) tensor.dispose();
      understanding![Symbol.dispose]();
      const text = cosmos3TextRotary(model.config, ids.length);
      for (const [stage, actual] of kept) {
        if (!report.has(`${prefix}.${stage}`)) continue;
        const isTable = stage === "rope_cos" || stage === "rope_sin";
        const textTable = stage === "rope_cos" ? text.cos : text.sin;
        const whole = isTable
          ? [...bothHalves(textTable, text.pairs), ...bothHalves(actual, text.pairs)]
          : actual;
        report.check(`${prefix}.${stage}`, whole, perLayer, stage.replace(/\d+/, "{i}"));
      }
      // A prompt leaves nothing behind.
      expect(device.memory().liveBytes).toBe(loaded);
    }
    await source.close();
    model.dispose();
    report.finish();
  });

  test("a pass whose first frame is given equals diffusers, layer by layer", async (context) => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    if (!tensors.cond_mask || !tensors["tf.gen_in"]) context.skip(`${reference.name} has no picture`);
    const report = new ParityReport(`${reference.name} transformer`, tensors);
    const folder = join(checkpoint, "transformer");
    const model = new Cosmos3OmniTransformer(device, readJson(join(folder, "config.json")));
    const source = await openWeights(nodeFolder(folder), "diffusion_pytorch_model");
    await model.load(source);
    const taps = new Taps(device);
    const ends = [parameters.eos_token_id as number, parameters.vision_start_id as number];
    const ids = [...values(tensors, "positive.input_ids"), ...ends];
    const [understanding] = await model.understand(source, [ids], { tap: taps.tap });
    const { data, shape } = floatTensor(tensors, "init_latents");
    using latents = device.upload(data, shape);
    const mask = values(tensors, "cond_mask");
    using output = await model.forward({
      ...{ latents, understanding: understanding!, fps: parameters.fps as number, tap: taps.tap },
      timestep: values(tensors, "tf.timestep")[0]!,
      conditionFrames: mask.flatMap((given, frame) => (given === 1 ? [frame] : [])),
    });
    for (const [name, actual] of await taps.read()) {
      if (!report.has(`tf.${name}`)) continue;
      report.check(`tf.${name}`, actual, caseTolerance(parameters, "per_layer"), name.replace(/\d+/, "{i}"));
    }
    report.check("step0.pred_positive", await device.read(output), caseTolerance(parameters, "pred"));
    understanding![Symbol.dispose]();
    model.dispose();
    await source.close();
    report.finish();
  });
});
