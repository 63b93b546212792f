/** One generation on several ranks, each with a device of its own: guidance's passes, and the clip's frames. */
import { type Collective, LocalCollective } from "@lvsa/core";
import { type Device, type FolderReader, HookError } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { relativeL2, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ParallelOptions } from "../pipelines/parallel-run.js";
import type { GenerateOptions } from "../pipelines/video-pipeline.js";
import { type TinyCase, tinyCases } from "../testing-support/tiny-pipelines.js";
import { Engine } from "./engine.js";

/**
 * Sums of attention come in another order where frames that were apart lie side by side, and products may take another
 * kernel for fewer rows: f32 rounding (6e-8) over the layers and steps of a tiny model.
 */
const ROUNDING = 1e-5;

let devices: Device[];
let cases: TinyCase[];
beforeAll(async () => {
  devices = await Promise.all([testDevice(), testDevice(), testDevice()]);
  cases = await tinyCases();
});
afterAll(() => {
  for (const device of devices) device.dispose();
});

interface Run {
  readonly latents: number[];
  readonly notes: readonly string[];
}

async function generate(
  folder: FolderReader,
  rank: number,
  options: GenerateOptions,
  parallel: ParallelOptions = {},
  prepare?: (engine: Engine) => Promise<void> | void,
): Promise<Run> {
  using engine = await Engine.open(folder, {
    ...{ device: devices[rank]!, precision: "f32", registered: false, parallel },
  });
  await prepare?.(engine);
  const { latents, notes } = await engine.generate(options);
  return { latents: [...latents.data], notes };
}

const ranks = (
  size: number,
  kind: keyof ParallelOptions,
  one: TinyCase,
  options: GenerateOptions,
  prepare?: (engine: Engine) => Promise<void> | void,
) =>
  LocalCollective.run(size, (collective: Collective) =>
    generate(nodeFolder(one.opened.checkpoint), collective.rank, options, { [kind]: collective }, prepare),
  );

/** The first case of each family. */
function perFamily(): { one: TinyCase; options: GenerateOptions }[] {
  return ["wan", "hunyuan", "cogvideox", "cosmos3"].map((family) => {
    const one = cases.find((found) => found.family === family)!;
    return { one, options: { prompt: "", ...one.options, numInferenceSteps: 2, seed: 1 } };
  });
}

describe("guidance on two ranks", () => {
  test("makes the same latents as one device, bit by bit, in all families", async () => {
    for (const { one, options } of perFamily()) {
      const alone = await generate(nodeFolder(one.opened.checkpoint), 0, options);
      const both = await ranks(2, "guidance", one, options);
      for (const { latents } of both) expect(latents, one.name).toEqual(alone.latents);
    }
  });
});

describe("a clip on several ranks", () => {
  test("makes the latents of one device up to rounding, in all families", async () => {
    for (const { one, options } of perFamily()) {
      const alone = await generate(nodeFolder(one.opened.checkpoint), 0, options);
      const shared = await ranks(2, "context", one, options);
      expect(shared[1]!.latents, one.name).toEqual(shared[0]!.latents);
      expect(relativeL2(shared[0]!.latents, alone.latents), one.name).toBeLessThan(ROUNDING);
    }
  });

  test("leaves nothing behind on any device", async () => {
    for (const { one, options } of perFamily()) {
      const live = () => devices.map((device) => device.memory().liveTensors);
      await ranks(2, "context", one, options);
      const before = live();
      await ranks(2, "context", one, options);
      expect(live(), one.name).toEqual(before);
      expect(before, one.name).toEqual(devices.map(() => 0));
    }
  });

  test("of which single tokens have timesteps of their own, in unequal shares", async () => {
    const one = cases.find(({ name }) => name.includes("ti2v"))!;
    const { initialLatents: _ofAnotherLength, ...settings } = one.options;
    const [width, height] = [one.options.width!, one.options.height!];
    const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => (i * 37) % 251);
    const image = { data, width, height };
    const options = { prompt: "", ...settings, image, numFrames: 29, numInferenceSteps: 2, seed: 1 };
    const alone = await generate(nodeFolder(one.opened.checkpoint), 0, options);
    const shared = await ranks(3, "context", one, options);
    for (const { latents } of shared) expect(relativeL2(latents, alone.latents)).toBeLessThan(ROUNDING);
    // Latents of a video from the prompt alone are others: the image took part.
    const { image: _, ...text } = options;
    const other = await generate(nodeFolder(one.opened.checkpoint), 0, text);
    expect(relativeL2(other.latents, alone.latents)).toBeGreaterThan(0.1);
  });

  test("a rank that fails ends the others with its error, in the middle of a layer too", async () => {
    const { one, options } = perFamily()[0]!;
    let layers = 0;
    const failing = ranks(2, "context", one, options, (engine) => {
      engine.attention.addHook("breaks", (call, next) => {
        layers += 1;
        if (engine.device === devices[1] && layers > 6) throw new HookError("BROKEN", "rank 1 broke");
        return next(call);
      });
    });
    await expect(failing).rejects.toMatchObject({ code: "BROKEN" });
    // Devices go on.
    const alone = await generate(nodeFolder(one.opened.checkpoint), 0, options);
    const shared = await ranks(2, "context", one, options);
    expect(relativeL2(shared[0]!.latents, alone.latents)).toBeLessThan(ROUNDING);
  });

  test("what ranks can not share is refused before anything is loaded", async () => {
    const { one, options } = perFamily()[0]!;
    const short = { ...options, numFrames: 5 };
    await expect(ranks(3, "context", one, short)).rejects.toMatchObject({ code: "TOO_FEW_FRAMES" });
    const batched = { ...options, guidanceBatch: true };
    const cached = { ...options, stepCache: "easycache" } as GenerateOptions;
    await expect(ranks(2, "context", one, cached)).rejects.toThrow(
      "stepCache does not work on several ranks",
    );
    for (const kind of ["guidance", "context"] as const) {
      await expect(ranks(2, kind, one, batched)).rejects.toThrow(
        "guidanceBatch does not work on several ranks",
      );
    }
    await expect(ranks(3, "guidance", one, options)).rejects.toThrow(
      "3 ranks for the two passes of guidance",
    );
    const unguided = await ranks(2, "guidance", one, { ...options, guidanceScale: 1 });
    expect(unguided[0]!.notes.join()).toContain("Both ranks ran the same pass");
  });
});
