/** Files of other formats, made by the original tools: every parameter bit by bit, the configuration, and the output. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { type Device, openWeightsFile, permute, type Tensor, type WeightSource, widen } from "@lvsa/runtime";
import { nodeFile } from "@lvsa/runtime/node";
import {
  floatTensor,
  type GoldenTensors,
  readSafetensors,
  referenceCases,
  requireCases,
  testDevice,
} from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AutoencoderKLWan } from "../../models/autoencoders/autoencoder-kl-wan.js";
import { latentFrames } from "../../models/autoencoders/latent-frames.js";
import { getModelClass } from "../../models/model-classes.js";
import { T5EncoderModel } from "../../models/text-encoders/t5-encoder.js";
import { WanTransformer3DModel } from "../../models/transformers/transformer-wan.js";
import { ParityReport } from "../../testing-support/parity.js";
import { readJson } from "../../testing-support/reference-case.js";
import { componentWeights, type FoundComponent, findComponents } from "./find-components.js";

type Parameters = Readonly<Record<string, { readonly shape: readonly number[]; readonly crc32_f32: number }>>;

interface FormatCase {
  readonly file?: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly config: Readonly<Record<string, unknown>>;
  readonly parameters_after_loading: Parameters;
  readonly parameters_fp8?: Parameters;
  readonly parameters_gguf?: Parameters;
  readonly tolerances: { readonly output_float32: { readonly rel_l2: number; readonly max_abs: number } };
}

const cases = referenceCases("formats").filter(({ name }) => !name.startsWith("gguf-types"));
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("the reference folder holds files of other formats", () => {
  requireCases(cases);
});

describe.each(cases)("$name", ({ directory }) => {
  const golden = readJson(join(directory, "case.json")) as unknown as FormatCase;
  // The repository's copy leaves some files of a case out.
  const files = (golden.file === undefined ? Object.keys(golden.files ?? {}) : [golden.file]).filter((file) =>
    existsSync(join(directory, file)),
  );

  test("has files", () => {
    expect(files.length).toBeGreaterThan(0);
  });

  test.each(files)("%s: parameters and configuration", async (file) => {
    const source = await openWeightsFile(nodeFile(join(directory, file)));
    const found = findComponents(source);
    expect(found.map(({ kind }) => kind.title)).toHaveLength(1);
    const weights = componentWeights(source, found[0]!);
    const expected = parametersOf(golden, file);
    const wrong: string[] = [];
    for (const [name, { shape, crc32_f32 }] of Object.entries(expected)) {
      const info = weights.info(name);
      expect(info.shape, name).toEqual(shape);
      const values = widen(await weights.read(name), info.dtype, name);
      if (crc32(new Uint8Array(values.buffer)) !== crc32_f32) wrong.push(name);
    }
    expect(wrong).toEqual([]);
    const extra = weights.names().filter((name) => !Object.hasOwn(expected, name) && name !== "spiece_model");
    expect(extra).toEqual([]);
    // Every key that the class reads: what no shape shows has the class's default there too.
    const definition = getModelClass(found[0]!.kind.className).variant(found[0]!.config, new Map());
    const derived = definition.parseConfig(found[0]!.config) as Record<string, unknown>;
    const stated = definition.parseConfig(golden.config) as Record<string, unknown>;
    for (const key of Object.keys(definition.parseConfig({}) as object))
      expect(derived[key], key).toEqual(stated[key]);
    await weights.close();
  });

  test.each(files)("%s: output", async (file) => {
    const source = await openWeightsFile(nodeFile(join(directory, file)));
    const [found] = findComponents(source) as [FoundComponent];
    const weights = componentWeights(source, found);
    const tensors = await readSafetensors(join(directory, "expected.safetensors"));
    const report = new ParityReport(`${directory.split("/").at(-1)} ${file}`, tensors);
    for (const [name, actual] of await outputs(found, weights, tensors, file)) {
      expect(actual.length, name).toBe(floatTensor(tensors, name).data.length);
      report.check(name, actual, golden.tolerances.output_float32);
    }
    report.finish();
    await weights.close();
  });
});

function parametersOf(golden: FormatCase, file: string): Parameters {
  if (golden.parameters_fp8 && file.startsWith("fp8")) return golden.parameters_fp8;
  if (golden.parameters_gguf && file.endsWith(".gguf")) return golden.parameters_gguf;
  return golden.parameters_after_loading;
}

/** Outputs by their names in the golden file. */
function outputs(found: FoundComponent, weights: WeightSource, tensors: GoldenTensors, file: string) {
  if (found.kind.role === "transformer") return transformer(found, weights, tensors);
  if (found.kind.role === "vae") return autoencoder(found, weights, tensors);
  return textEncoder(found, weights, tensors, file);
}

async function transformer(
  { config }: FoundComponent,
  weights: WeightSource,
  tensors: GoldenTensors,
): Promise<[string, Float32Array][]> {
  const model = new WanTransformer3DModel(device, config);
  await model.load(weights);
  const upload = (name: string) => {
    const { data, shape } = floatTensor(tensors, name);
    return device.upload(data, shape);
  };
  const image = tensors.encoder_hidden_states_image;
  const output = await model.forward({
    latents: upload("hidden_states"),
    timestep: Number(tensors.timestep!.data[0]),
    encoderHiddenStates: upload("encoder_hidden_states"),
    ...(image ? { encoderHiddenStatesImage: upload("encoder_hidden_states_image") } : {}),
  });
  const values = await device.read(output);
  model.dispose();
  return [["output", values]];
}

async function autoencoder(
  { config }: FoundComponent,
  weights: WeightSource,
  tensors: GoldenTensors,
): Promise<[string, Float32Array][]> {
  const vae = await AutoencoderKLWan.load(device, weights, config);
  const latents = floatTensor(tensors, "latents");
  const [, channels = 0, frames = 0, height = 0, width = 0] = floatTensor(tensors, "video").shape;
  const area = height * width;
  const video = new Float32Array(channels * frames * area);
  let frame = 0;
  for (const chunk of vae.decode(latentFrames(device, device.upload(latents.data, latents.shape)))) {
    const count = chunk.dim(1);
    const values = await planar(chunk, count, area, channels);
    for (let c = 0; c < channels; c++) {
      video.set(values.subarray(c * count * area, (c + 1) * count * area), (c * frames + frame) * area);
    }
    chunk.dispose();
    frame += count;
  }
  const input = floatTensor(tensors, "encode.video");
  const moments = await vae.encode(device.upload(input.data, input.shape));
  const all = await device.read(moments);
  vae.dispose();
  return [
    ["video", video],
    ["encode.mean", all.subarray(0, all.length / 2)],
  ];
}

async function planar(chunk: Tensor, count: number, area: number, channels: number): Promise<Float32Array> {
  const out = device.scope(() => permute(device, chunk.reshape([count, area, channels]), [2, 0, 1]));
  const values = await device.read(out);
  out.dispose();
  return values;
}

async function textEncoder(
  { config }: FoundComponent,
  weights: WeightSource,
  tensors: GoldenTensors,
  file: string,
): Promise<[string, Float32Array][]> {
  const encoder = new T5EncoderModel(device, weights, config);
  const [rows = 0, columns = 0] = tensors.ids!.shape;
  const [ids, mask] = [Array.from(tensors.ids!.data, Number), Array.from(tensors.mask!.data, Number)];
  const texts = Array.from({ length: rows }, (_, i) => {
    const length = mask.slice(i * columns, (i + 1) * columns).reduce((a, b) => a + b, 0);
    return ids.slice(i * columns, i * columns + length);
  });
  const name = file.startsWith("fp8") ? "embeds.fp8" : file.endsWith(".gguf") ? "embeds.gguf" : "embeds";
  const out = new Float32Array(floatTensor(tensors, name).data.length);
  for (const [i, hidden] of (await encoder.encode(texts)).entries()) {
    out.set(await device.read(hidden), (i * out.length) / rows);
    hidden.dispose();
  }
  return [[name, out]];
}
