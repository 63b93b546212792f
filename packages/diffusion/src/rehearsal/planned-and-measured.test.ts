/**
 * The plan of whole generations against what their pipelines create: real checkpoints of every family, tiny ones, run
 * on the counting device, which creates and frees as any other and computes nothing.
 */

import { join } from "node:path";
import {
  countingGpu,
  encodeSafetensors,
  type FolderReader,
  memorySource,
  openWeightsFile,
} from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { referenceCases, requireCases } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { describeCheckpoint } from "../checkpoint/describe-checkpoint.js";
import { inspectCheckpoint } from "../checkpoint/inspect-checkpoint.js";
import { openQuantizable } from "../checkpoint/quantize/quantize-component.js";
import type { QuantizedFormat } from "../checkpoint/quantize/quantize-weights.js";
import { Engine } from "../engine/engine.js";
import type { VaeTilingOptions } from "../models/autoencoders/tiling/tile-sizes.js";
import type { GenerateOptions } from "../pipelines/video-pipeline.js";
import { mergedTensors } from "./merged-tensors.js";
import { promptTokens } from "./prompt-tokens.js";
import { rehearseMemory } from "./rehearse-memory.js";

interface Run {
  readonly checkpoint: string;
  readonly options: Partial<GenerateOptions>;
  readonly offload?: true;
  readonly lora?: true;
  readonly quantized?: QuantizedFormat;
  readonly vaeTiling?: VaeTilingOptions;
}

const DEMO = "packages/demo-wan/model";
const checkpointOf = (family: string, name: string) => {
  const found = referenceCases(family).find((one) => one.name === name);
  return found && join(found.directory, "checkpoint");
};

const [ti2v, i2v] = [checkpointOf("wan", "wan22-ti2v-5b"), checkpointOf("wan", "wan21-i2v-clip")];
const [hunyuan, cogvideox, cosmos3] = ["hunyuan", "cogvideox", "cosmos3"].map((family) =>
  checkpointOf(family, "pipeline"),
);

const picture = { width: 80, height: 72, data: new Uint8Array(80 * 72 * 3) };
const clip = { numFrames: 17, height: 64, width: 96 };
const small = { numFrames: 17, height: 32, width: 48 };
/** Of two by three latent cells, or one by two where a cell has 16 pixels. */
const tiles = {
  ...{ tileSampleMinHeight: 32, tileSampleMinWidth: 32 },
  ...{ tileSampleStrideHeight: 16, tileSampleStrideWidth: 16 },
};
const runs: readonly (Omit<Run, "checkpoint"> & { checkpoint: string | undefined })[] = [
  { checkpoint: DEMO, options: {} },
  { checkpoint: DEMO, options: { numFrames: 81 }, offload: true },
  { checkpoint: DEMO, options: { numFrames: 81, guidanceScale: 1 } },
  { checkpoint: DEMO, options: { numFrames: 81, stepCache: "first-block" } },
  { checkpoint: DEMO, options: { numFrames: 81, stepCache: "easycache" } },
  {
    checkpoint: DEMO,
    options: { numFrames: 81, stepCache: { name: "magcache", ratios: { positive: [1], negative: [1] } } },
  },
  { checkpoint: DEMO, options: { numFrames: 81, guidanceBatch: true } },
  { checkpoint: DEMO, options: { numFrames: 49, guidanceBatch: true }, offload: true },
  { checkpoint: DEMO, options: { numFrames: 81 }, lora: true },
  { checkpoint: DEMO, options: { numFrames: 49 }, quantized: "q8_0" },
  { checkpoint: DEMO, options: { numFrames: 49 }, quantized: "fp8" },
  { checkpoint: DEMO, options: { numFrames: 49 }, quantized: "q8_0", lora: true },
  { checkpoint: ti2v, options: clip },
  { checkpoint: ti2v, options: { ...clip, image: picture } },
  { checkpoint: i2v, options: { ...clip, image: picture } },
  { checkpoint: i2v, options: { ...clip, image: picture }, offload: true },
  { checkpoint: hunyuan, options: small },
  {
    checkpoint: hunyuan,
    options: { ...small, prompt: 'A sign that says "Open all night".', guidanceScale: 1 },
  },
  { checkpoint: hunyuan, options: { ...clip, stepCache: "first-block" }, offload: true },
  { checkpoint: ti2v, options: { ...clip, image: picture, guidanceBatch: true } },
  { checkpoint: i2v, options: { ...clip, image: picture, guidanceBatch: true } },
  {
    checkpoint: hunyuan,
    options: { ...clip, negativePrompt: 'A sign that says "Closed".', guidanceBatch: true },
  },
  // Of a smaller clip the device's own buffers are more than the 5 % that tensors may be off.
  { checkpoint: cogvideox, options: { ...clip, guidanceBatch: true } },
  { checkpoint: cosmos3, options: { ...clip, guidanceBatch: true } },
  { checkpoint: cogvideox, options: small },
  { checkpoint: cogvideox, options: { ...small, guidanceScale: 1 }, offload: true },
  { checkpoint: cosmos3, options: clip },
  { checkpoint: cosmos3, options: { ...clip, image: picture } },
  { checkpoint: cosmos3, options: { ...clip, prompt: "A cat. ".repeat(40) }, offload: true },
  { checkpoint: DEMO, options: { numFrames: 33 }, vaeTiling: tiles },
  { checkpoint: ti2v, options: { ...clip, image: picture }, vaeTiling: tiles },
  { checkpoint: i2v, options: { ...clip, image: picture }, vaeTiling: tiles },
  { checkpoint: hunyuan, options: clip, vaeTiling: tiles },
  { checkpoint: cogvideox, options: clip, vaeTiling: tiles },
  { checkpoint: cosmos3, options: clip, vaeTiling: tiles },
];

it("the reference folder holds checkpoints of every family", () => {
  requireCases(
    [ti2v, i2v, hunyuan, cogvideox, cosmos3].filter(Boolean),
    "checkpoints with tokenizers and text encoders",
  );
});

it.each(runs.flatMap((run) => (run.checkpoint ? [run as Run] : [])))("$checkpoint $options", async (run) => {
  const folder = await quantized(nodeFolder(run.checkpoint), run.quantized);
  const options = { prompt: "A yellow ball moves to the left.", negativePrompt: "", ...run.options };
  const { image, stepCache } = options;
  const model = describeCheckpoint(await inspectCheckpoint(folder));
  // A device in main memory has no driver of its own beside it.
  const device = {
    info: { ...countingGpu().device.info, hardware: "software" as const },
    math: "exact" as const,
  };
  const loras = () => (run.lora ? [{ file: memorySource(lora(), "lora.safetensors") }] : []);
  const plan = await rehearseMemory({
    ...{ model, device, image, offload: run.offload },
    ...{ numFrames: options.numFrames, height: options.height, width: options.width },
    guidanceScale: options.guidanceScale,
    guidanceBatch: options.guidanceBatch,
    stepCache: typeof stepCache === "object" ? stepCache.name : (stepCache as "easycache" | undefined),
    tokens: await promptTokens(folder, model, options),
    vaeTiling: run.vaeTiling,
    merged: run.lora ? await mergedTensors(folder, loras(), "f32") : undefined,
  });

  const gpu = countingGpu({ info: device.info });
  using engine = await Engine.open(folder, {
    ...{ device: gpu.device, precision: "f32", registered: false, loras: loras() },
    ...(run.vaeTiling ? { vaeTiling: run.vaeTiling } : {}),
    ...(run.offload ? { offload: { readsAhead: false } } : {}),
  });
  const result = await engine.generate({ ...options, numInferenceSteps: 2, seed: 1 });
  for await (const _ of result.frames);
  const { peakBytes } = gpu.device.memory();
  // Tensors alone; the device's own small buffers, for parameters and for reading back, are in the plan too.
  expect(plan.peakBytes / peakBytes).toBeGreaterThanOrEqual(1);
  // Beside tiles of so few pixels they are no longer small.
  const most = run.vaeTiling ? gpu.driverPeakBytes : peakBytes;
  expect(plan.peakBytes / most).toBeLessThanOrEqual(1.05);
  expect(plan.peakBytes / gpu.driverPeakBytes).toBeGreaterThan(0.95);

  if (!run.vaeTiling) return;
  expect(result.settings.vae_tiling).toBe("32x32, stride 16x16");
  // Steps may need more than tiles: decoding alone.
  const other = countingGpu({ info: device.info });
  using decoder = await Engine.open(folder, {
    ...{ device: other.device, registered: false, vaeTiling: run.vaeTiling },
  });
  const { latents, width, height } = result;
  const decoded = await decoder.decode({ latents, width, height, numFrames: result.frameCount });
  for await (const _ of decoded.frames);
  const decoding = plan.phases.find(({ name }) => name === "decoding")!.bytes;
  expect(decoding / other.device.memory().peakBytes).toBeGreaterThanOrEqual(1);
  expect(decoding / other.driverPeakBytes).toBeGreaterThan(0.95);
  expect(decoding / other.driverPeakBytes).toBeLessThanOrEqual(1.05);
});

/** A LoRA of rank 2 on every query and feed-forward of the demo model's first two blocks. */
function lora(): Uint8Array {
  const [dim, inner, rank] = [192, 640, 2];
  const zeros = (...shape: number[]) => ({
    dtype: "F32" as const,
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b)),
  });
  const blocks = [0, 1].flatMap((block) => [
    [`transformer.blocks.${block}.attn1.to_q.lora_A.weight`, zeros(rank, dim)],
    [`transformer.blocks.${block}.attn1.to_q.lora_B.weight`, zeros(dim, rank)],
    [`transformer.blocks.${block}.ffn.net.0.proj.lora_A.weight`, zeros(rank, dim)],
    [`transformer.blocks.${block}.ffn.net.0.proj.lora_B.weight`, zeros(inner, rank)],
  ]);
  return encodeSafetensors(Object.fromEntries(blocks) as Record<string, ReturnType<typeof zeros>>);
}

/** The folder with its transformer quantized; as it is without a format. */
async function quantized(folder: FolderReader, format: QuantizedFormat | undefined): Promise<FolderReader> {
  if (format === undefined) return folder;
  const component = await openQuantizable(folder, "transformer", format);
  const bytes = new Uint8Array(component.file.byteLength);
  await component.file.write(async (part, at) => bytes.set(part, at));
  await component.close();
  const source = () =>
    openWeightsFile({ name: component.fileName, open: async () => memorySource(bytes, component.fileName) });
  const other: FolderReader = {
    ...{ name: folder.name, readText: (path) => folder.readText(path) },
    ...{ readBytes: (path) => folder.readBytes(path), open: (path) => folder.open(path) },
    ...{ exists: (path) => folder.exists(path), list: (path) => folder.list(path) },
    weights: async (path) => (path === "transformer" ? await source() : undefined),
  };
  return other;
}
