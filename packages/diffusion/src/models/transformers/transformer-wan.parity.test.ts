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
import { afterAll, beforeAll, describe, test } from "vitest";
import { ParityReport, type WanTolerances } from "../../testing-support/parity.js";
import { hasExpected, openCase, readJson } from "../../testing-support/reference-case.js";
import { Taps } from "../../testing-support/taps.js";
import { WanTransformer3DModel } from "./transformer-wan.js";

const cases = referenceCases("wan").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

async function load(checkpoint: string, component: string): Promise<WanTransformer3DModel> {
  const folder = nodeFolder(join(checkpoint, component));
  const model = new WanTransformer3DModel(device, readJson(join(checkpoint, component, "config.json")));
  const source = await openWeights(folder, "diffusion_pytorch_model");
  await model.load(source);
  await source.close();
  return model;
}

/** Text embeddings as the transformer gets them: zero rows up to `rows`. */
function padded(tensors: GoldenTensors, prompt: string, rows: number) {
  const { data, shape } = floatTensor(tensors, `text.${prompt}.embeds`);
  const all = new Float32Array(rows * shape[2]!);
  all.set(data);
  return device.upload(all, [1, rows, shape[2]!]);
}

/** The golden rotary tables repeat every value for both channels of its pair. */
function eachTwice(values: Float32Array): Float32Array {
  return Float32Array.from({ length: 2 * values.length }, (_, i) => values[i >> 1]!);
}

/** Runs that the tensors' descriptions name: prefix, component, timestep and prompt. */
function describedRuns(tensors: Record<string, { meaning: string }>) {
  return Object.entries(tensors).flatMap(([name, { meaning }]) => {
    const found = /^(transformer(?:_2)?) output.*at timestep (\d+) with (\w+)/.exec(meaning);
    if (!found || !name.endsWith(".output")) return [];
    return [
      {
        prefix: name.slice(0, -".output".length),
        component: found[1]!,
        timestep: Number(found[2]),
        prompt: found[3]!,
      },
    ];
  });
}

test("the reference folder holds Wan transformer cases", () => {
  requireCases(cases);
});

describe.each(cases)("$name", (reference) => {
  test("transformer stages equal diffusers", async (context) => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    const meanings = parameters.tensors as Record<string, { meaning: string }>;
    const runs = describedRuns(meanings);
    const perToken = Object.keys(tensors).filter((n) => /^tf\.\w+\.timesteps$/.test(n));
    if (runs.length + perToken.length === 0) {
      context.skip(`${reference.name} has no transformer outputs by prompt and timestep`);
    }
    const { single_pass } = (parameters.tolerances as WanTolerances).float32_compute;
    const report = new ParityReport(`${reference.name} transformer`, tensors);
    const prompts = Object.keys(tensors).flatMap((name) => /^text\.(\w+)\.embeds$/.exec(name)?.[1] ?? []);
    const rows = floatTensor(tensors, `text.${prompts[0]}.embeds`).shape[1]!;
    const image = tensors.image_embeds ? floatTensor(tensors, "image_embeds") : undefined;
    const models = new Map<string, WanTransformer3DModel>();

    const run = async (
      prefix: string,
      component: string,
      timestep: number | Float32Array,
      prompt: string,
      inputName: string,
    ) => {
      const model = models.get(component) ?? (await load(checkpoint, component));
      models.set(component, model);
      const golden = floatTensor(tensors, inputName);
      // Image-to-video models take the condition channels behind the noise.
      const condition =
        model.config.in_channels > golden.shape[1]!
          ? floatTensor(tensors, "condition").data
          : new Float32Array();
      const latents = device.upload(Float32Array.from([...golden.data, ...condition]), [
        1,
        model.config.in_channels,
        ...golden.shape.slice(2),
      ]);
      const text = padded(tensors, prompt, image ? 512 : rows);
      const images = image ? device.upload(image.data, image.shape) : undefined;
      const taps = new Taps(device);
      const output = await model.forward({
        latents,
        timestep,
        encoderHiddenStates: text,
        ...(images ? { encoderHiddenStatesImage: images } : {}),
        tap: taps.tap,
      });
      const kept = await taps.read();
      report.check(`${prefix}.output`, await device.read(output), single_pass, "output");
      output.dispose();
      for (const [name, values] of kept) {
        const stage = report.has(`${prefix}.${name}`)
          ? `${prefix}.${name}`
          : `${prefix.replace(/\.\w+$/, "")}.${name}`;
        if (!report.has(stage)) continue;
        const actual = name.startsWith("rope_") ? eachTwice(values) : values;
        report.check(stage, actual, single_pass, name);
      }
      for (const t of [latents, text, images]) t?.dispose();
    };

    for (const { prefix, component, timestep, prompt } of runs) {
      const parent = prefix.replace(/\.\w+$/, "");
      const input = tensors[`${parent}.latents`] ? `${parent}.latents` : "tf.latents";
      await run(prefix, component, timestep, prompt, input);
    }
    for (const name of perToken) {
      const prefix = name.slice(0, -".timesteps".length);
      // The data says which prompt; the first one where it does not.
      const said = / with (\w+)/.exec(meanings[`${prefix}.output`]?.meaning ?? "")?.[1];
      const prompt = said && prompts.includes(said) ? said : prompts[0]!;
      await run(prefix, "transformer", floatTensor(tensors, name).data, prompt, "tf.latents");
    }
    for (const model of models.values()) model.dispose();
    report.finish();
  });
});
