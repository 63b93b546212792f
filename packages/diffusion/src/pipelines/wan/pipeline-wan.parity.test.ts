import { join } from "node:path";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import {
  floatTensor,
  type GoldenTensors,
  maxAbsolute,
  referenceCases,
  requireCases,
  testDevice,
} from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { imageToVideoRange, stretchImage } from "../../images/fit-image.js";
import { AutoencoderKLWan } from "../../models/autoencoders/autoencoder-kl-wan.js";
import { imageOf } from "../../testing-support/image-encoder-runs.js";
import { ParityReport, type WanTolerances } from "../../testing-support/parity.js";
import { hasExpected, openCase, readJson, row, values } from "../../testing-support/reference-case.js";
import type { GenerateOptions, HostTensor } from "../video-pipeline.js";
import { WanPipeline } from "./pipeline-wan.js";

interface Loop {
  readonly prompt: string;
  readonly negative: string;
  readonly num_inference_steps: number;
  readonly guidance_scale: number;
  readonly guidance_scale_2?: number;
  readonly num_frames: number;
  readonly height: number;
  readonly width: number;
  readonly max_sequence_length: number;
  readonly i2v_prompt?: string;
}

const cases = referenceCases("wan").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

/** Runs of a case: the prefix of their tensors, and what they change. */
function loopsOf(
  tensors: GoldenTensors,
  loop: Loop,
): { prefix: string; options: Partial<GenerateOptions> }[] {
  const second = loop.guidance_scale_2 === undefined ? {} : { guidanceScale2: loop.guidance_scale_2 };
  const all = [
    { prefix: "loop", options: second },
    // Without a second scale the first serves both transformers.
    { prefix: "loop_same_guidance", options: {} },
    { prefix: "i2v", options: second },
  ];
  return all.filter(({ prefix }) => tensors[`${prefix}.latents`]);
}

test("the reference folder holds Wan loops", () => {
  requireCases(cases);
});

describe.each(cases)("$name", (reference) => {
  test("whole generations from the prompt equal diffusers", async (context) => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    const loop = parameters.loop as Loop;
    const texts = parameters.texts as Record<string, { text: string }> | undefined;
    if (!texts) context.skip(`${reference.name} has no prompts of its own`);
    const { single_pass, loop_latents, frames_uint8 } = (parameters.tolerances as WanTolerances)
      .float32_compute;
    const report = new ParityReport(`${reference.name} pipeline`, tensors);
    const pipeline = await WanPipeline.fromPretrained(nodeFolder(checkpoint), { device, precision: "f32" });

    for (const { prefix, options } of loopsOf(tensors, loop)) {
      // Runs of one case may share their initial noise.
      const first = tensors[`${prefix}.initial`] ? `${prefix}.initial` : "loop.initial";
      const isImage = prefix === "i2v" || tensors["tf.image_projected"] !== undefined;
      const prompt = prefix === "i2v" ? loop.i2v_prompt! : loop.prompt;
      const initial = floatTensor(tensors, first);
      const seen = new Map<string, HostTensor>();
      const fitted = prefix === "i2v" ? "i2v.image" : "image";
      // A picture of another size goes through the resizer; older cases have one of the video's.
      const picture = ["source_image", "i2v.source_image", fitted].find((name) => tensors[name]);
      // Stand-ins where the checkpoint has no image encoder.
      const isStandIn = tensors.image_embeds && !tensors["clip.penultimate"];
      const levels: number[] = [];
      const conditionFrames = new Set<string>();
      using _watch = pipeline.attention.addHook("test", (call, next) => {
        if (call.geometry) conditionFrames.add(`${call.geometry.conditionFrames ?? []}`);
        return next(call);
      });
      const result = await pipeline.generate({
        prompt: texts![prompt]!.text,
        negativePrompt: texts![loop.negative]!.text,
        numFrames: loop.num_frames,
        height: loop.height,
        width: loop.width,
        numInferenceSteps: loop.num_inference_steps,
        guidanceScale: loop.guidance_scale,
        maxSequenceLength: loop.max_sequence_length,
        initialLatents: { data: initial.data, shape: initial.shape },
        ...(isImage && picture ? { image: imageOf(tensors, picture) } : {}),
        ...(isStandIn
          ? {
              imageEmbeds: {
                data: floatTensor(tensors, "image_embeds").data,
                shape: tensors.image_embeds!.shape,
              },
            }
          : {}),
        onTensor: (name, tensor) => seen.set(name, tensor),
        onStep: ({ memory }) => levels.push(memory.liveBytes),
        ...options,
      });
      // Sparse attention hears which latent frames the image gives.
      expect([...conditionFrames]).toEqual([isImage && picture ? "0" : ""]);
      // A step ends at the memory level it began with (both transformers of a pair are equally large).
      expect(new Set(levels).size, `memory after each step: ${levels}`).toBe(1);
      if (tensors[`${prefix}.timesteps`])
        expect(values(tensors, `${prefix}.timesteps`)).toHaveLength(levels.length);
      for (let i = 0; i < levels.length; i++) {
        for (const name of ["noise_cond", "noise_uncond", "latents"]) {
          if (!report.has(`${prefix}.${name}`)) continue;
          const limit = name === "latents" ? loop_latents : { rel_l2: loop_latents.rel_l2! };
          report.compare(
            `${prefix}.${name} step ${i}`,
            seen.get(`step${i}.${name}`)!.data,
            row(tensors, `${prefix}.${name}`, i),
            limit,
            `${prefix}.${name}`,
          );
        }
      }
      const condition = prefix === "i2v" ? "i2v.condition" : "condition";
      if (seen.has("condition")) report.check(condition, seen.get("condition")!.data, single_pass);
      if (seen.has("image_embeds")) {
        report.check("image_embeds", seen.get("image_embeds")!.data, single_pass);
      }
      if (report.has(`${prefix}.final_latents`)) {
        report.check(`${prefix}.final_latents`, result.latents.data, loop_latents);
      }
      const expected = tensors[`${prefix}.frames_uint8`]!;
      const bytes = new Uint8Array(expected.data.length);
      let at = 0;
      for await (const frame of result.frames) {
        bytes.set(frame, at);
        at += frame.length;
      }
      expect(at).toBe(bytes.length);
      expect(maxAbsolute(bytes, expected.data)).toBeLessThanOrEqual(frames_uint8.max_abs!);
    }
    pipeline.dispose();
    report.finish();
    expect(device.memory().liveBytes).toBe(0);
  });

  test("a first and a last picture are the ends of a clip that is grey between", async (context) => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    if (!tensors.condition || !tensors.source_image) context.skip(`${reference.name} has no picture`);
    const { height, width, num_frames: numFrames } = parameters.loop as Loop;
    const image = imageOf(tensors, "source_image");
    // Upside down and of its own size.
    const lastImage = {
      ...imageOf(tensors, "image"),
      data: imageOf(tensors, "image").data.slice().reverse(),
    };
    const pipeline = await WanPipeline.fromPretrained(nodeFolder(checkpoint), { device, precision: "f32" });
    const embeds = tensors.image_embeds && floatTensor(tensors, "image_embeds");
    let condition: HostTensor | undefined;
    const result = await pipeline.generate({
      ...{
        prompt: "",
        image,
        lastImage,
        numFrames,
        height,
        width,
        numInferenceSteps: 1,
        guidanceScale: 1,
        seed: 1,
      },
      ...(embeds ? { imageEmbeds: { data: embeds.data, shape: embeds.shape } } : {}),
      onTensor: (name, tensor) => {
        if (name === "condition") condition = tensor;
      },
    });
    expect(result.settings).toMatchObject({
      image: `${image.width}x${image.height}`,
      last_image: `${width}x${height}`,
    });
    pipeline.dispose();

    // The whole clip at once, made here.
    const area = height * width;
    const video = new Float32Array(3 * numFrames * area);
    for (const [frame, picture] of [
      [0, stretchImage(image, { height, width })],
      [numFrames - 1, lastImage],
    ] as const) {
      const pixels = imageToVideoRange(picture);
      for (let c = 0; c < 3; c++) {
        video.set(pixels.subarray(c * area, (c + 1) * area), (c * numFrames + frame) * area);
      }
    }
    const source = await openWeights(nodeFolder(join(checkpoint, "vae")), "diffusion_pytorch_model");
    const vae = await AutoencoderKLWan.load(device, source, readJson(join(checkpoint, "vae/config.json")));
    await source.close();
    using uploaded = device.upload(video, [1, 3, numFrames, height, width]);
    using moments = await vae.encode(uploaded);
    const { data, shape } = condition!;
    const [, , T, h, w] = shape as [number, number, number, number, number];
    const mean = (await device.read(moments)).slice(0, moments.size / 2);
    using raw = device.upload(mean, [1, moments.dim(1) / 2, T, h, w]);
    using normalized = vae.normalize(raw);
    const latents = await device.read(normalized);
    const mask = data.subarray(0, data.length - latents.length);
    expect(maxAbsolute(data.subarray(mask.length), latents)).toBe(0);
    // One of the four sub-frames of the last latent frame.
    const cells = h * w;
    expect([...mask.subarray(mask.length - cells)]).toEqual(Array(cells).fill(1));
    expect(mask.reduce((sum, x) => sum + x, 0)).toBe(5 * cells);
    vae.dispose();
  });
});
