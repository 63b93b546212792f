/** Both text encoders of HunyuanVideo 1.5, from token ids: Qwen2.5-VL's text part, and ByT5 for quoted text. */
import { join } from "node:path";
import { type Device, openWeights, type WeightSource } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import {
  floatTensor,
  type GoldenTensors,
  type ReferenceCase,
  referenceCases,
  requireCases,
  testDevice,
} from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HUNYUAN_VIDEO_15_CROP_START } from "../../prompts/prompts-hunyuan.js";
import { caseTolerance } from "../../testing-support/case-tolerance.js";
import { ParityReport } from "../../testing-support/parity.js";
import { hasExpected, openCase, readJson, values } from "../../testing-support/reference-case.js";
import { Qwen25VLTextModel } from "./qwen2-5-vl-text-model.js";
import { T5EncoderModel } from "./t5-encoder.js";

const cases = referenceCases("hunyuan").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

/** Prompts that have a tensor of this name. */
function promptsWith(tensors: GoldenTensors, name: string): string[] {
  return Object.keys(tensors).flatMap((n) => (n.endsWith(`.${name}`) ? [n.slice(0, -name.length - 1)] : []));
}

async function open(
  checkpoint: string,
  component: string,
): Promise<{ source: WeightSource; config: unknown }> {
  const source = await openWeights(nodeFolder(join(checkpoint, component)), "model");
  return { source, config: readJson(join(checkpoint, component, "config.json")) };
}

function componentClass(checkpoint: string, component: string): unknown {
  const index = readJson(join(checkpoint, "model_index.json")) as Record<
    string,
    [string, string] | undefined
  >;
  return index[component]?.[1];
}

/** Tolerances of the text cases; the pipeline case has one for both. */
const groups = { final: ["final", "embeddings"], perLayer: ["per_layer", "embeddings"] } as const;

test("the reference folder holds HunyuanVideo text cases", () => {
  requireCases(cases);
});

describe.each(cases)("$name", (reference: ReferenceCase) => {
  test("Qwen2.5-VL hidden states of given ids equal the reference, and leave no memory behind", async (context) => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    const isQwen = String(componentClass(checkpoint, "text_encoder")).startsWith("Qwen2_5_VL");
    const prompts = isQwen ? promptsWith(tensors, "ids") : [];
    if (prompts.length === 0) context.skip(`${reference.name} has no Qwen token ids`);
    const report = new ParityReport(`${reference.name} Qwen2.5-VL`, tensors);
    const { source, config } = await open(checkpoint, "text_encoder");
    const model = new Qwen25VLTextModel(device, source, config);
    const before = device.memory().liveBytes;
    const ids = prompts.map((prompt) => values(tensors, `${prompt}.ids`));
    const width = model.config.hidden_size;

    const reads: Promise<void>[] = [];
    const all = await model.encode(ids, {
      tap: (name, tensor, i) => {
        const stage = `${prompts[i]}.${name}`;
        if (!report.has(stage)) return;
        const copy = device.keep(device.empty(tensor.shape));
        device.copyBytes(tensor, copy);
        reads.push(
          device.read(copy).then((actual) => {
            copy.dispose();
            report.check(stage, actual, caseTolerance(parameters, ...groups.perLayer), name);
          }),
        );
      },
    });
    await Promise.all(reads);
    for (const x of all) x.dispose();

    const skipped = await model.encode(ids, { skipLayers: 2 });
    for (const [i, x] of skipped.entries()) {
      const rows = (await device.read(x)).subarray(HUNYUAN_VIDEO_15_CROP_START * width);
      x.dispose();
      const golden = [`${prompts[i]}.embeds`, `${prompts[i]}.text`].find((name) => report.has(name))!;
      report.check(golden, rows, caseTolerance(parameters, ...groups.final), "embeds");
    }
    expect(device.memory().liveBytes).toBe(before);
    await source.close();
    report.finish();
  });

  test("ByT5 embeddings of given ids equal the reference, and leave no memory behind", async (context) => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    const component = componentClass(checkpoint, "text_encoder_2") ? "text_encoder_2" : "text_encoder";
    const isByT5 = componentClass(checkpoint, component) === "T5EncoderModel";
    const glyphs = promptsWith(tensors, "glyph_ids");
    const prompts = isByT5 ? (glyphs.length > 0 ? glyphs : promptsWith(tensors, "ids")) : [];
    if (prompts.length === 0) context.skip(`${reference.name} has no ByT5 token ids`);
    const report = new ParityReport(`${reference.name} ByT5`, tensors);
    const { source, config } = await open(checkpoint, component);
    const model = new T5EncoderModel(device, source, config);
    const before = device.memory().liveBytes;
    for (const prompt of prompts) {
      const ids = values(
        tensors,
        report.has(`${prompt}.glyph_ids`) ? `${prompt}.glyph_ids` : `${prompt}.ids`,
      );
      const [out] = await model.encode([ids]);
      const golden = report.has(`${prompt}.glyph`) ? `${prompt}.glyph` : `${prompt}.embeds`;
      // Of long texts the case stores the first rows.
      const rows = (await device.read(out!)).subarray(0, floatTensor(tensors, golden).data.length);
      report.check(golden, rows, caseTolerance(parameters, ...groups.final), "embeds");
      out!.dispose();
    }
    expect(device.memory().liveBytes).toBe(before);
    await source.close();
    report.finish();
  });
});
