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
import { disposeInputs, hunyuanInputs } from "../../testing-support/hunyuan-inputs.js";
import { ParityReport } from "../../testing-support/parity.js";
import { hasExpected, openCase, readJson } from "../../testing-support/reference-case.js";
import { Taps } from "../../testing-support/taps.js";
import { HunyuanVideo15Transformer3DModel } from "./transformer-hunyuan-video15.js";

const cases = referenceCases("hunyuan").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

async function load(checkpoint: string): Promise<HunyuanVideo15Transformer3DModel> {
  const folder = join(checkpoint, "transformer");
  const model = new HunyuanVideo15Transformer3DModel(device, readJson(join(folder, "config.json")));
  const source = await openWeights(nodeFolder(folder), "diffusion_pytorch_model");
  await model.load(source);
  await source.close();
  return model;
}

/** Prefixes of single forward passes: `a`, `x2.padded`, … */
function prefixes(tensors: GoldenTensors): string[] {
  return Object.keys(tensors).flatMap((name) => /^(.+)\.hidden_states$/.exec(name)?.[1] ?? []);
}

/** The golden rotary tables repeat every value for both channels of its pair. */
function eachTwice(values: Float32Array): Float32Array {
  return Float32Array.from({ length: 2 * values.length }, (_, i) => values[i >> 1]!);
}

/** Golden rows that are valid: those of the mask, or the first ones of the reordered encoder stream. */
function validGolden(tensors: GoldenTensors, name: string, width: number, mask?: Float32Array): number[] {
  const { data } = floatTensor(tensors, name);
  if (!mask) return Array.from(data);
  return Array.from(data).filter((_, i) => mask[Math.floor(i / width)]! > 0);
}

test("the reference folder holds HunyuanVideo cases", () => {
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
    const model = await load(checkpoint);
    for (const prefix of runs) {
      const inputs = hunyuanInputs(device, tensors, prefix);
      const taps = new Taps(device);
      const output = await model.forward({ ...inputs, tap: taps.tap });
      const kept = await taps.read();
      const golden = report.has(`${prefix}.dense_out`) ? `${prefix}.dense_out` : `${prefix}.out`;
      report.check(golden, await device.read(output), final, "out");
      output.dispose();
      disposeInputs(inputs);
      const width = model.config.num_attention_heads * model.config.attention_head_dim;
      for (const [name, actual] of kept) {
        const stage = `${prefix}.${name}`;
        if (!report.has(stage)) continue;
        if (name.startsWith("rope_")) {
          report.check(stage, eachTwice(actual), perLayer, name);
          continue;
        }
        const maskName =
          name === "text_refined"
            ? "text_mask"
            : name === "glyph_projected"
              ? "glyph_mask"
              : name.includes("encoder")
                ? "encoder_mask"
                : undefined;
        const mask = maskName ? floatTensor(tensors, `${prefix}.${maskName}`).data : undefined;
        report.compare(
          stage,
          actual,
          validGolden(tensors, stage, width, mask),
          perLayer,
          name.replace(/\d+/, "{i}"),
        );
      }
    }
    model.dispose();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });
});
