/** LoRA files in all key forms: merged weights, checksums, outputs and refusals against the golden data. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  type Device,
  DIFFUSERS_WEIGHTS,
  openWeights,
  uploadMerged,
  type WeightSource,
  widen,
} from "@lvsa/runtime";
import { fileSource, nodeFolder } from "@lvsa/runtime/node";
import {
  floatTensor,
  type GoldenTensors,
  isForeignReference,
  maxAbsolute,
  readSafetensors,
  referenceCases,
  requireCases,
  testDevice,
} from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkWeights } from "../models/definition/model-weights.js";
import { findVideoModel } from "../models/model-classes.js";
import { CogVideoXTransformer3DModel } from "../models/transformers/transformer-cogvideox.js";
import { HunyuanVideo15Transformer3DModel } from "../models/transformers/transformer-hunyuan-video15.js";
import { WanTransformer3DModel } from "../models/transformers/transformer-wan.js";
import { disposeInputs, hunyuanInputs } from "../testing-support/hunyuan-inputs.js";
import { ParityReport, type Tolerance } from "../testing-support/parity.js";
import { hasExpected, type OpenedCase, openCase, readJson } from "../testing-support/reference-case.js";
import { LoraFile, type LoraTarget } from "./lora-file.js";
import { type AppliedChange, MergedWeights } from "./merged-weights.js";

interface Run {
  readonly loras: readonly { readonly file: string; readonly scale: number }[];
  readonly output: string;
  readonly changed: Readonly<Record<string, { readonly sum: number; readonly sum_of_squares: number }>>;
  readonly component?: string;
}
interface Case {
  readonly files: Readonly<Record<string, { readonly path: string }>>;
  readonly runs: Readonly<Record<string, Run>>;
  readonly errors: Readonly<Record<string, { readonly path: string; readonly error_names: string[] }>>;
  readonly inputs?: { readonly case: string; readonly prefix: string };
  readonly tolerances: {
    readonly merged_weights: Required<Pick<Tolerance, "max_abs">>;
    readonly checksums: { readonly rel: number };
    readonly output_float32: Tolerance;
  };
}

const cases = referenceCases("lora").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("the reference folder holds LoRAs", () => {
  requireCases(cases, "LoRAs");
});

interface Base {
  readonly source: WeightSource;
  readonly target: LoraTarget;
  /** Names in the file by parameter. */
  readonly stored: ReadonlyMap<string, string>;
  readonly config: Record<string, unknown>;
}

async function openBase(checkpoint: string, component: string): Promise<Base> {
  const folder = join(checkpoint, component);
  const config = readJson(join(folder, "config.json"));
  const definition = findVideoModel(String(config._class_name))!;
  const source = await openWeights(nodeFolder(folder), DIFFUSERS_WEIGHTS);
  const { stored, config: resolved } = checkWeights(definition, config, source);
  const parameters = definition.parameters(resolved);
  return { source, stored, config, target: { family: definition.video.family, component, parameters } };
}

/** The weights with LoRAs, f32. */
async function merge({ source, target, stored }: Base, loras: readonly { file: LoraFile; scale: number }[]) {
  const changes = new Map<string, AppliedChange[]>();
  for (const { file, scale } of loras) {
    for (const change of file.changes(target, true)) {
      const name = stored.get(change.parameter)!;
      changes.set(name, [...(changes.get(name) ?? []), { change, weight: scale, source: file.source }]);
    }
  }
  return new MergedWeights(source, changes, "f32");
}

async function floats(source: WeightSource, name: string): Promise<Float32Array> {
  return Float32Array.from(widen(await source.read(name), source.info(name).dtype, name));
}

/** One pass of the case's inputs. */
async function forward(
  { config }: Base,
  weights: WeightSource,
  { tensors }: OpenedCase,
  inputs: { tensors: GoldenTensors; prefix: string },
): Promise<Float32Array> {
  const upload = (name: string) => {
    const { data, shape } = floatTensor(inputs.tensors, `${inputs.prefix}${name}`);
    return device.upload(data, shape);
  };
  const timestep = Number(inputs.tensors[`${inputs.prefix}timestep`]!.data[0]);
  if (config._class_name === "HunyuanVideo15Transformer3DModel") {
    const model = new HunyuanVideo15Transformer3DModel(device, config);
    await model.load(weights);
    const given = hunyuanInputs(device, inputs.tensors, inputs.prefix.replace(/\.$/, ""));
    using output = await model.forward(given);
    disposeInputs(given);
    const data = await device.read(output);
    model.dispose();
    return data;
  }
  using latents = upload("hidden_states");
  const isWan = config._class_name === "WanTransformer3DModel";
  using encoderHiddenStates = upload(isWan ? "encoder_hidden_states" : "text");
  using image = tensors.encoder_hidden_states_image ? upload("encoder_hidden_states_image") : undefined;
  const model = new (isWan ? WanTransformer3DModel : CogVideoXTransformer3DModel)(device, config);
  await model.load(weights);
  const common = { latents, timestep, encoderHiddenStates };
  using output = await (model as WanTransformer3DModel).forward(
    image ? { ...common, encoderHiddenStatesImage: image } : common,
  );
  const data = await device.read(output);
  model.dispose();
  return data;
}

describe.each(cases)("$name", (reference) => {
  test("merged weights, their sums and the outputs are the golden ones", async (context) => {
    const opened = await openCase(reference);
    const { tensors, checkpoint } = opened;
    if (isForeignReference() && !existsSync(checkpoint)) context.skip(`there is no ${checkpoint}`);
    const parameters = opened.parameters as unknown as Case;
    const { merged_weights, checksums, output_float32 } = parameters.tolerances;
    const other = parameters.inputs;
    const inputs = other
      ? {
          tensors: await readSafetensors(join(reference.directory, other.case, "expected.safetensors")),
          prefix: other.prefix,
        }
      : { tensors, prefix: "" };
    const report = new ParityReport(`lora/${reference.name}`, tensors);
    for (const [name, run] of Object.entries(parameters.runs)) {
      const base = await openBase(checkpoint, run.component ?? "transformer");
      const loras = await Promise.all(
        run.loras.map(async ({ file, scale }) => ({
          file: await LoraFile.open(
            await fileSource(join(reference.directory, parameters.files[file]!.path)),
          ),
          scale,
        })),
      );
      // A file that names both transformers is asked for what it has for this one.
      const weights = await merge(base, loras);
      const changed = new Set(
        loras.flatMap(({ file }) => file.changes(base.target, true).map(({ parameter }) => parameter)),
      );
      expect([...changed].sort(), name).toEqual(Object.keys(run.changed).sort());
      for (const [parameter, { sum, sum_of_squares }] of Object.entries(run.changed)) {
        const merged = await floats(weights, base.stored.get(parameter)!);
        const total = merged.reduce((a, b) => a + b, 0);
        const squares = merged.reduce((a, b) => a + b * b, 0);
        // A sum may cancel: its error is one of the sum of magnitudes.
        const magnitude = merged.reduce((a, b) => a + Math.abs(b), 0);
        expect(Math.abs(total - sum) / magnitude, `${name} ${parameter}`).toBeLessThanOrEqual(checksums.rel);
        expect(Math.abs(squares - sum_of_squares) / sum_of_squares).toBeLessThanOrEqual(checksums.rel);
        // What models load: summed by the GPU.
        using summed = await uploadMerged(device, weights, base.stored.get(parameter)!);
        if (summed) {
          const error = maxAbsolute(await device.read(summed), merged);
          expect(error, `${name} ${parameter} on the GPU`).toBeLessThanOrEqual(merged_weights.max_abs);
        }
        const golden = tensors[`${name}.weight.${parameter}`];
        if (golden) {
          const error = maxAbsolute(merged, golden.data);
          expect(error, `${name} ${parameter}`).toBeLessThanOrEqual(merged_weights.max_abs);
        }
      }
      report.check(run.output, await forward(base, weights, opened, inputs), output_float32, "output");
      await Promise.all([weights.close(), ...loras.map(({ file }) => file.close())]);
    }
    report.finish();
  });

  test("bad files are refused by the names of their keys", async (context) => {
    const opened = await openCase(reference);
    const { errors } = opened.parameters as unknown as Case;
    if (Object.keys(errors).length === 0) context.skip(`${reference.name} has no bad files`);
    if (isForeignReference() && !existsSync(opened.checkpoint)) context.skip(`no ${opened.checkpoint}`);
    const base = await openBase(opened.checkpoint, "transformer");
    for (const [name, { path, error_names }] of Object.entries(errors)) {
      const file = await LoraFile.open(await fileSource(join(reference.directory, path)));
      const changes = () => file.changes(base.target, true);
      expect(changes, name).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^LORA_/), where: path.split("/").at(-1) }),
      );
      for (const part of error_names) expect(changes, name).toThrow(part);
      await file.close();
    }
    await base.source.close();
  });
});
