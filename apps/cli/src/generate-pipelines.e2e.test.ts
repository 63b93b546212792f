/** `lvsa generate` as a process on whole checkpoints of HunyuanVideo, CogVideoX and Cosmos 3: from prompt and seed to latents and frames. */
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  floatTensor,
  readJson,
  readSafetensors,
  referenceCases,
  relativeL2,
  requireCases,
} from "@lvsa/runtime/testing";
import { decodePng } from "@lvsa/video";
import { afterAll, describe, expect, test } from "vitest";
import { DEVICE, runCli } from "./testing/run-cli.js";

interface Run {
  readonly num_frames: number;
  readonly height: number;
  readonly width: number;
  readonly num_inference_steps: number;
  readonly lvsa?: {
    readonly reference_latent_frames: number;
    readonly window_size: number;
    readonly n_first_frames: number;
  };
}
interface PipelineCase {
  readonly checkpoint: string;
  readonly prompt: string;
  readonly negative_prompt: string;
  readonly seed: number;
  readonly fps: number;
  readonly guidance_scale: number;
  readonly runs: Readonly<Record<string, Run>>;
  readonly tolerance: {
    readonly latents: { readonly rel_rms: number };
    readonly uint8: { readonly max_abs: number; readonly max_fraction_differing: number };
  };
}

/** Video frames per latent frame of all these models. */
const TEMPORAL_FACTOR = 4;
const folder = await mkdtemp(join(tmpdir(), "lvsa-pipelines-"));
afterAll(() => rm(folder, { recursive: true }));

const cases = ["hunyuan", "cogvideox", "cosmos3"].flatMap((family) =>
  referenceCases(family)
    .filter(({ directory }) => existsSync(join(directory, "expected.safetensors")))
    .map(({ name, directory }) => ({
      name: `${family} ${name}`,
      directory,
      golden: readJson<PipelineCase>(join(directory, "case.json")),
    }))
    .filter(({ golden }) => golden.runs && typeof golden.prompt === "string"),
);

function sparseOptions(lvsa: NonNullable<Run["lvsa"]>): string[] {
  return [
    // The options count video frames.
    ...["--lvsa", "--window-size", String(lvsa.window_size * TEMPORAL_FACTOR)],
    ...["--n-first-frames", String(lvsa.n_first_frames * TEMPORAL_FACTOR)],
    ...["--reference-latent-frames", String(lvsa.reference_latent_frames)],
  ];
}

test("the reference folder holds whole pipelines", () => {
  requireCases(cases);
});

describe.each(cases)("$name", ({ name, directory, golden }) => {
  test.each(Object.entries(golden.runs))("%s: latents and frames equal the reference", async (label, run) => {
    const tensors = await readSafetensors(join(directory, "expected.safetensors"));
    const latentsFile = join(folder, `${name}-${label}.safetensors`);
    const framesFolder = join(folder, `${name}-${label}`);
    const { code, stderr, stdout } = await runCli([
      ...["generate", "--model", join(directory, golden.checkpoint), ...DEVICE, "--precision", "f32"],
      ...["--prompt", golden.prompt, "--negative-prompt", golden.negative_prompt],
      ...["--num-frames", run.num_frames, "--height", run.height, "--width", run.width].map(String),
      ...["--steps", run.num_inference_steps, "--guidance", golden.guidance_scale].map(String),
      ...["--seed", golden.seed, "--fps", golden.fps].map(String),
      ...["--output-latent", latentsFile, "--output", `${framesFolder}/`],
      ...(run.lvsa ? sparseOptions(run.lvsa) : []),
    ]);
    expect(code, stderr).toBe(0);
    if (run.lvsa) expect(stdout).toMatch(/^\[LVSA\] installed on \d+ blocks/m);

    const actual = floatTensor(await readSafetensors(latentsFile), "latents");
    const expected = floatTensor(tensors, `${label}.step${run.num_inference_steps - 1}.latents`);
    expect(actual.shape).toEqual(expected.shape);
    const error = relativeL2(actual.data, expected.data);
    expect(error).toBeLessThan(golden.tolerance.latents.rel_rms);

    const want = tensors[`${label}.frames`]!;
    const files = (await readdir(framesFolder)).sort();
    expect(files).toHaveLength(want.shape[0]!);
    const size = want.data.length / files.length;
    let worst = 0;
    let differing = 0;
    for (const [frame, file] of files.entries()) {
      const bytes = (await decodePng(new Uint8Array(await readFile(join(framesFolder, file))))).frames[0]!;
      expect(bytes).toHaveLength(size);
      for (let i = 0; i < size; i++) {
        const difference = Math.abs(bytes[i]! - want.data[frame * size + i]!);
        worst = Math.max(worst, difference);
        if (difference > 0) differing += 1;
      }
    }
    const share = differing / want.data.length;
    console.log(
      `${name} ${label}: latents rel L2 ${error.toExponential(1)}, ${(100 * share).toFixed(3)} % of bytes differ, by ${worst} at most`,
    );
    expect(worst).toBeLessThanOrEqual(golden.tolerance.uint8.max_abs);
    expect(share).toBeLessThanOrEqual(golden.tolerance.uint8.max_fraction_differing);
  });
});
