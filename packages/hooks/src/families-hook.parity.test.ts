/**
 * The hooks of the other families, on their tiny checkpoints: anchors and attended frames of every step are those of the
 * reference, latents are bit for bit those of LVSA installed directly, and the hook leaves nothing behind.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createCogVideoXAdapter } from "@lvsa/adapter-cogvideox";
import { createHunyuanAdapter } from "@lvsa/adapter-hunyuan";
import { installLvsa, type LvsaConfigInput } from "@lvsa/core";
import { type Cosmos3Transformer, installCosmos3Lvsa } from "@lvsa/cosmos3-processor";
import { Engine, type GenerateOptions } from "@lvsa/diffusion";
import type { Device } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { readJson, referenceCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HookEvent, lvsaPlugin } from "./index.js";

interface Run {
  readonly num_frames: number;
  readonly latent_frames: number;
  readonly height: number;
  readonly width: number;
  readonly lvsa?: {
    readonly reference_latent_frames: number;
    readonly window_size: number;
    readonly n_first_frames: number;
    readonly sparsity_scale: number;
    readonly per_step: readonly {
      readonly key_frame_interval: number;
      readonly global_indices: readonly number[];
      readonly attended_frames?: readonly (readonly number[])[];
    }[];
  };
}
interface Case {
  readonly checkpoint: string;
  readonly prompt: string;
  readonly seed: number;
  readonly runs?: Readonly<Record<string, Run>>;
}

/** Video frames per latent frame, in all three. */
const TEMPORAL = 4;
const STEPS = 2;

const FAMILIES = ["hunyuan", "cogvideox", "cosmos3"] as const;
const cases = FAMILIES.flatMap((family) =>
  referenceCases(family)
    .filter(({ directory }) => existsSync(join(directory, "checkpoint", "model_index.json")))
    .map(({ name, directory }) => ({
      family,
      name,
      directory,
      golden: readJson<Case>(join(directory, "case.json")),
    }))
    .filter(({ golden }) => golden.runs?.lvsa?.lvsa && typeof golden.prompt === "string"),
);

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

/** LVSA without hooks, as each family installs it. */
function installDirectly(engine: Engine, run: Run, config: LvsaConfigInput): Disposable {
  const { pipeline } = engine;
  if (pipeline.family === "hunyuan") return installLvsa(pipeline, createHunyuanAdapter(), { config });
  if (pipeline.family === "cogvideox") return installLvsa(pipeline, createCogVideoXAdapter(), { config });
  const { num_frames: numFrames, height, width } = run;
  const { referenceLatentFrames } = config;
  return installCosmos3Lvsa(pipeline.transformers[0] as Cosmos3Transformer, {
    ...{ numFrames, height, width, config },
    ...(referenceLatentFrames === undefined ? {} : { referenceLatentFrames }),
  });
}

it("the reference folder holds a sparse generation of every family", () => {
  for (const family of FAMILIES)
    requireCases(
      cases.filter((found) => found.family === family),
      `sparse generation of ${family} from a prompt`,
    );
});

describe.each(cases)("$family $name", ({ family, directory, golden }) => {
  const run = golden.runs!.lvsa!;
  const lvsa = run.lvsa!;
  const folder = nodeFolder(join(directory, golden.checkpoint));
  const variable = `LVSA_${family.toUpperCase()}_HOOK`;
  const env = {
    [variable]: "1",
    LVSA_WINDOW_SIZE: String(lvsa.window_size * TEMPORAL),
    LVSA_N_FIRST_FRAMES: String(lvsa.n_first_frames * TEMPORAL),
    LVSA_SPARSITY_SCALE: String(lvsa.sparsity_scale),
    LVSA_REFERENCE_LATENT_FRAMES: String(lvsa.reference_latent_frames),
    LVSA_STRICT: "1",
    LVSA_MASK_LOG: "1",
  };
  const clip = {
    prompt: golden.prompt,
    seed: golden.seed,
    numFrames: run.num_frames,
    height: run.height,
    width: run.width,
    numInferenceSteps: STEPS,
  } as const satisfies GenerateOptions;

  it(`${variable} engages with the right patterns, and leaves dense attention as it was`, async () => {
    const open = () => Engine.open(folder, { device, precision: "f32", registered: false });
    const latents = async (engine: Engine, more: Partial<GenerateOptions> = {}) =>
      (await engine.generate({ ...clip, ...more })).latents.data;
    const events: HookEvent[] = [];
    const lines: string[] = [];

    using engine = await open();
    const dense = await latents(engine);
    await device.idle();
    const before = device.memory();
    const hook = await engine.use(
      lvsaPlugin({ env, onEvent: (event) => events.push(event), logger: (line) => lines.push(line) }),
    );
    const sparse = await latents(engine);
    const masks = events.filter((event) => event.type === "mask");
    expect(masks.map(({ step }) => step)).toEqual([0, 1]);
    for (const { step, pattern } of masks) {
      const expected = lvsa.per_step[step]!;
      expect(pattern.keyframeInterval).toBe(expected.key_frame_interval);
      expect([...pattern.globalFrames], `step ${step}`).toEqual(expected.global_indices);
      if (!expected.attended_frames) continue;
      const attended = Array.from({ length: pattern.rows }, (_, row) => [...pattern.attendedFrames(row)]);
      expect(attended, `step ${step}`).toEqual(expected.attended_frames);
    }
    expect(lines[1]).toMatch(
      new RegExp(`^\\[LVSA\\] engaged \\(${family}\\): T_lat=${run.latent_frames} .* -> SPARSE$`),
    );
    expect(sparse).not.toEqual(dense);

    // Another length in the same process, then the first again.
    const other = await latents(engine, { numFrames: run.num_frames + TEMPORAL });
    expect(other.length).toBeGreaterThan(sparse.length);
    expect(await latents(engine)).toEqual(sparse);

    hook[Symbol.dispose]();
    expect(await latents(engine)).toEqual(dense);
    await device.idle();
    expect(device.memory().liveBytes).toBe(before.liveBytes);

    using direct = await open();
    using _installed = installDirectly(direct, run, {
      windowSize: lvsa.window_size * TEMPORAL,
      nFirstFrames: lvsa.n_first_frames * TEMPORAL,
      sparsityScale: lvsa.sparsity_scale,
      referenceLatentFrames: lvsa.reference_latent_frames,
    });
    expect(sparse).toEqual(await latents(direct));
  });
});
