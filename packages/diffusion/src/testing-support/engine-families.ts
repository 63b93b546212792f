/** One whole small checkpoint of each family, and an engine on it for every test. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { readJson, referenceCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect } from "vitest";
import { Engine } from "../engine/engine.js";
import type { GenerateOptions, GenerationResult } from "../pipelines/video-pipeline.js";
import { type WatchedFolder, watchedFolder } from "./watched-folder.js";

export interface EngineFamily {
  readonly name: string;
  readonly directory: string;
  /** Text encoders; Cosmos 3 reads prompts with its transformer. */
  readonly encoder: string | undefined;
  /** The shortest that has a second latent frame: numbers are the concern of the parity tests. */
  readonly clip: GenerateOptions;
  /** A weight of the last layer, by component. */
  readonly weights: Readonly<Record<string, string>>;
}

const clip = { prompt: "A cat.", numFrames: 5, height: 32, width: 48, numInferenceSteps: 2, seed: 3 };

export const engineFamilies: readonly EngineFamily[] = [
  { name: "wan", encoder: "text_encoder", clip: { ...clip, maxSequenceLength: 32 } },
  { name: "hunyuan", encoder: "text_encoder", clip: { ...clip, maxSequenceLength: 32 } },
  // Pairs of latent frames, of which the first may be three.
  { name: "cogvideox", encoder: "text_encoder", clip: { ...clip, numFrames: 9 } },
  { name: "cosmos3", encoder: undefined, clip },
].flatMap((family) => {
  const weights = {
    wan: { transformer: "proj_out.weight", vae: "decoder.conv_out.weight" },
    hunyuan: { transformer: "proj_out.weight", vae: "decoder.conv_out.conv.weight" },
    cogvideox: { transformer: "proj_out.weight", vae: "decoder.conv_out.conv.weight" },
    cosmos3: { transformer: "proj_out.weight", vae: "decoder.conv_out.weight" },
  }[family.name]!;
  const wanted = family.name === "wan" ? "wan21-t2v" : "pipeline";
  return referenceCases(family.name)
    .filter(({ name, directory }) => name === wanted && existsSync(join(directory, "case.json")))
    .map(({ directory }) => {
      const { checkpoint = "checkpoint" } = readJson<{ checkpoint?: string }>(join(directory, "case.json"));
      return { ...family, directory: join(directory, checkpoint), weights };
    });
});

/** What a test of a family finds: made anew for each, on one device. */
export interface EngineUnderTest {
  readonly device: Device;
  readonly folder: WatchedFolder;
  /** Nothing was asked of it yet. Disposed afterwards, when nothing may be left on the device. */
  readonly engine: Engine;
  /** Bytes on the device before the engine was there. */
  readonly liveBefore: number;
  /** Another one on the same folder and device, which the caller disposes of. */
  open(): Promise<Engine>;
  /** The clip's frames, of an engine that did nothing else: made once for all tests of the family in a file. */
  frames(clip: GenerateOptions): Promise<number[]>;
}

/** Sums of the clip's frames, read to their end. */
export async function drain({ frames }: Pick<GenerationResult, "frames">): Promise<number[]> {
  const sums: number[] = [];
  for await (const frame of frames) sums.push(frame.reduce((sum, byte) => sum + byte, 0));
  return sums;
}

/** Describes tests for each family of which there is a checkpoint. */
export function forEachFamily(tests: (family: EngineFamily, at: EngineUnderTest) => void): void {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });
  afterAll(() => device.dispose());

  describe.each(engineFamilies)("$name", (family) => {
    let folder: WatchedFolder;
    let engine: Engine;
    let liveBefore: number;
    const known = new Map<string, number[]>();
    const open = () => Engine.open(folder, { device, precision: "f32", registered: false });

    beforeEach(async () => {
      liveBefore = device.memory().liveBytes;
      folder = watchedFolder(nodeFolder(family.directory));
      engine = await open();
      folder.reset();
    });
    afterEach(() => {
      engine.dispose();
      // Whatever a test did, nothing is left.
      expect(device.memory().liveBytes).toBe(liveBefore);
    });

    tests(family, {
      get device() {
        return device;
      },
      get folder() {
        return folder;
      },
      get engine() {
        return engine;
      },
      get liveBefore() {
        return liveBefore;
      },
      open,
      async frames(clip) {
        const key = JSON.stringify(clip);
        let sums = known.get(key);
        if (!sums) {
          using other = await open();
          sums = await drain(await other.generate(clip));
          known.set(key, sums);
          folder.reset();
        }
        return sums;
      },
    });
  });
}
