/** `lvsa generate` as a process against the reference loops: from the prompt to latents and frames. */
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  floatTensor,
  type GoldenTensors,
  maxAbsolute,
  readSafetensors,
  referenceCases,
  relativeL2,
  requireCases,
} from "@lvsa/runtime/testing";
import { decodePng, encodePng } from "@lvsa/video";
import { afterAll, describe, expect, test } from "vitest";
import { writeLatents } from "./generate/latents-file.js";
import { DEVICE, runCli } from "./testing/run-cli.js";

interface Loop {
  readonly prompt: string;
  readonly negative?: string;
  readonly negative_prompt?: string;
  readonly num_inference_steps: number;
  readonly guidance_scale: number;
  readonly guidance_scale_2?: number;
  readonly num_frames: number;
  readonly height: number;
  readonly width: number;
  readonly max_sequence_length: number;
  readonly i2v_prompt?: string;
  /** Sparse loops: which of `parameters.configs`. */
  readonly config?: string;
}
interface Case {
  readonly checkpoint: string;
  readonly loop?: Loop;
  readonly texts?: Record<string, { text: string }>;
  readonly parameters: {
    readonly reference_frames?: number;
    readonly configs?: Record<
      string,
      { window: number; n_first: number; kfi: number | "auto" | null; expand: boolean }
    >;
  };
  readonly tolerances: {
    readonly float32_compute: {
      readonly loop_latents: { rel_l2: number };
      readonly frames_uint8: { max_abs: number };
    };
  };
}
interface Run {
  readonly name: string;
  /** Tensor with the picture that the video begins with. */
  readonly image?: string | undefined;
  readonly options: readonly string[];
  /** Tensor with the latents after each step. */
  readonly latents: string;
  readonly frames: string | undefined;
}

const cases = referenceCases("wan").filter(({ directory }) =>
  ["case.json", "expected.safetensors"].every((file) => existsSync(join(directory, file))),
);
const folder = await mkdtemp(join(tmpdir(), "lvsa-generate-"));
afterAll(() => rm(folder, { recursive: true }));

/** The loops of a case that a prompt, or a prompt and a picture, can start. */
function runsOf(golden: Case, loop: Loop, tensors: GoldenTensors): Run[] {
  if (!loop.config) {
    const second = loop.guidance_scale_2 === undefined ? [] : ["--guidance-2", String(loop.guidance_scale_2)];
    const picture = (...names: string[]) => names.find((name) => tensors[name]);
    return [
      { name: "loop", options: second, image: picture("source_image", "image") },
      // Without a second scale the first serves both transformers.
      { name: "loop_same_guidance", options: [] },
      { name: "i2v", options: second, image: picture("source_image", "i2v.source_image", "i2v.image") },
    ]
      .filter(({ name }) => tensors[`${name}.latents`])
      .map((run) => ({
        ...run,
        latents: tensors[`${run.name}.final_latents`] ? `${run.name}.final_latents` : `${run.name}.latents`,
        frames: tensors[`${run.name}.frames_uint8`] && `${run.name}.frames_uint8`,
      }));
  }
  const { window, n_first, kfi, expand } = golden.parameters.configs![loop.config]!;
  if (!expand || typeof kfi !== "number") throw new Error(`no options for the configuration ${loop.config}`);
  const vae = JSON.parse(readFileSync(join(golden.checkpoint, "vae/config.json"), "utf8")) as Record<
    string,
    unknown
  >;
  // The options count video frames.
  const frames = (latent: number) => String(latent * Number(vae.scale_factor_temporal ?? 4));
  const sparse = [
    ...["--lvsa", "--window-size", frames(window), "--n-first-frames", frames(n_first)],
    ...["--key-frame-interval", frames(kfi)],
    ...["--reference-latent-frames", String(golden.parameters.reference_frames)],
  ];
  // `rotate_after_step` shows the lag of the Python scripts, which no option brings back.
  return [
    { name: "fixed", options: sparse },
    { name: "rotate", options: [...sparse, "--rotate-keyframes"] },
  ]
    .filter(({ name }) => tensors[`loop.${name}.latents`])
    .map((run) => ({ ...run, latents: `loop.${run.name}.latents`, frames: undefined }));
}

async function frameFiles(path: string): Promise<Uint8Array> {
  const names = (await readdir(path)).sort();
  const images = await Promise.all(
    names.map(async (name) => (await decodePng(new Uint8Array(await readFile(join(path, name))))).frames[0]!),
  );
  const all = new Uint8Array(images.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const image of images) {
    all.set(image, at);
    at += image.length;
  }
  return all;
}

/** A PNG of a tensor `[height, width, 3]`. */
async function pictureFile(tensors: GoldenTensors, tensor: string, name: string): Promise<string> {
  const { data, shape } = tensors[tensor]!;
  const path = join(folder, `${name}-${tensor}.png`);
  await writeFile(path, await encodePng(Uint8Array.from(data as Uint8Array), shape[1]!, shape[0]!));
  return path;
}

test("the reference folder holds Wan cases", () => {
  requireCases(cases);
});

describe.each(cases)("$name", ({ name, directory }) => {
  test("from prompt and initial latents to the reference's latents and frames", async (context) => {
    const golden = JSON.parse(readFileSync(join(directory, "case.json"), "utf8")) as Case;
    const checkpoint = join(directory, golden.checkpoint);
    const { loop, texts } = golden;
    if (!loop) return context.skip(`${name} has no loop`);
    const tensors = await readSafetensors(join(directory, "expected.safetensors"));
    if (tensors.image_embeds && !existsSync(join(checkpoint, "image_encoder"))) {
      return context.skip(`${name} has no image encoder, and the command line takes no embeddings`);
    }
    const { loop_latents, frames_uint8 } = golden.tolerances.float32_compute;
    for (const run of runsOf({ ...golden, checkpoint }, loop, tensors)) {
      const latentsFile = join(folder, `${name}-${run.name}.safetensors`);
      const framesFolder = join(folder, `${name}-${run.name}`);
      const initial = join(folder, `${name}-${run.name}-initial.safetensors`);
      const first = tensors[`${run.name}.initial`] ? `${run.name}.initial` : "loop.initial";
      await writeLatents(initial, floatTensor(tensors, first));
      const prompt = run.name === "i2v" ? loop.i2v_prompt! : loop.prompt;
      const { code, stderr, stdout } = await runCli([
        ...["generate", "--model", checkpoint, ...DEVICE, "--precision", "f32"],
        ...["--prompt", texts?.[prompt]?.text ?? prompt],
        ...["--negative-prompt", texts?.[loop.negative ?? ""]?.text ?? loop.negative_prompt ?? ""],
        ...["--num-frames", loop.num_frames, "--height", loop.height, "--width", loop.width].map(String),
        ...["--steps", loop.num_inference_steps, "--guidance", loop.guidance_scale].map(String),
        ...["--max-sequence-length", String(loop.max_sequence_length)],
        ...["--initial-latents", initial, "--output-latent", latentsFile],
        ...(run.frames ? ["--output", `${framesFolder}/`] : []),
        ...(run.image ? ["--image", await pictureFile(tensors, run.image, name)] : []),
        ...run.options,
      ]);
      expect(code, stderr).toBe(0);
      if (run.options.includes("--lvsa")) expect(stdout).toMatch(/^\[LVSA\] installed on \d+ blocks/m);

      const actual = floatTensor(await readSafetensors(latentsFile), "latents");
      const steps = floatTensor(tensors, run.latents);
      const expected = steps.data.subarray(steps.data.length - actual.data.length);
      expect(actual.shape).toEqual([1, ...steps.shape.slice(1)]);
      const error = relativeL2(actual.data, expected);
      let report = `${name} ${run.name}: latents rel L2 ${error.toExponential(1)}`;
      expect(error, report).toBeLessThan(loop_latents.rel_l2);
      if (run.frames) {
        const want = tensors[run.frames]!.data;
        const worst = maxAbsolute(await frameFiles(framesFolder), want);
        report += `, frames off by at most ${worst}`;
        expect(worst, report).toBeLessThanOrEqual(frames_uint8.max_abs);
      }
      console.log(report);
    }
  });
});
