/** The same model as a diffusers folder and as files of other formats makes the same video, bit by bit. */
import { type Device, type FolderReader, openWeightsFile } from "@lvsa/runtime";
import { testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openCheckpoint } from "../checkpoint/single-file/open-checkpoint.js";
import { tokenizerOf } from "../checkpoint/single-file/tokenizer-files.js";
import { fileOf, tinyWanFiles } from "../testing-support/tiny-wan-files.js";
import { Engine, type EngineOptions } from "./engine.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

async function video(folder: FolderReader, options: Pick<EngineOptions, "offload"> = {}): Promise<number[]> {
  using engine = await Engine.open(folder, { device, registered: false, ...options });
  const result = await engine.generate({
    ...{ prompt: "a cat", numFrames: 5, height: 16, width: 32, numInferenceSteps: 2, seed: 7 },
    maxSequenceLength: 8,
  });
  const bytes: number[] = [...new Uint8Array(result.latents.data.slice().buffer)];
  for await (const frame of result.frames) bytes.push(...frame);
  return bytes;
}

test("a folder, a set of files and one file of everything make the same latents and frames", async () => {
  const files = tinyWanFiles();
  const textEncoder = fileOf("umt5.gguf", files.textEncoder);
  const source = await openWeightsFile(textEncoder);
  const tokenizer = (await tokenizerOf(source))!;
  await source.close();
  const folder = files.folder(tokenizer);
  const expected = await video(folder);
  expect(new Set(expected).size).toBeGreaterThan(50);
  // Blocks that come from the folder while the transformer runs: weights stay open, and are closed at the end.
  expect(await video(folder, { offload: {} })).toEqual(expected);
  const set = await openCheckpoint({
    transformer: fileOf("wan.safetensors", files.transformer),
    textEncoder,
    vae: fileOf("vae.safetensors", files.vae),
  });
  expect(await video(set)).toEqual(expected);
  const one = await openCheckpoint({ files: [fileOf("all.safetensors", files.all)], tokenizer: folder });
  expect(await video(one)).toEqual(expected);
});
