import { join } from "node:path";
import { type Device, openWeights, toRgbFrames } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import {
  floatTensor,
  type GoldenTensors,
  referenceCases,
  requireCases,
  testDevice,
} from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { caseTolerance } from "../../testing-support/case-tolerance.js";
import { ParityReport } from "../../testing-support/parity.js";
import { hasExpected, openCase, readJson, values } from "../../testing-support/reference-case.js";
import { AutoencoderKLCogVideoX } from "./autoencoder-kl-cogvideox.js";
import { latentFrames } from "./latent-frames.js";

const cases = referenceCases("cogvideox").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

/** Channels-last frames, as read, to the golden layout `[C, T, H·W]`. */
function planar(frames: readonly Float32Array[], channels: number): Float32Array {
  const last = Float32Array.from(frames.flatMap((frame) => Array.from(frame)));
  const cells = last.length / channels;
  return Float32Array.from(
    { length: last.length },
    (_, i) => last[(i % cells) * channels + Math.floor(i / cells)]!,
  );
}

function prefixes(tensors: GoldenTensors, suffix: string): string[] {
  return Object.keys(tensors).flatMap((name) =>
    name.endsWith(suffix) ? [name.slice(0, -suffix.length)] : [],
  );
}

/** `[1, T, C, h, w]` to `[1, C, T, h, w]`. */
function channelsFirst({ data, shape }: { data: Float32Array; shape: readonly number[] }): {
  data: Float32Array;
  shape: readonly number[];
} {
  const [, T, C, h, w] = shape as [number, number, number, number, number];
  const out = new Float32Array(data.length);
  const area = h * w;
  for (let t = 0; t < T; t++) {
    for (let c = 0; c < C; c++) {
      const from = (t * C + c) * area;
      out.set(data.subarray(from, from + area), (c * T + t) * area);
    }
  }
  return { data: out, shape: [1, C, T, h, w] };
}

test("the reference folder holds CogVideoX cases", () => {
  requireCases(cases);
});

describe.each(cases)("$name", (reference) => {
  test("decoding and encoding in chunks equal diffusers, and leave no memory behind", async (context) => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    const decoded = prefixes(tensors, ".decoded");
    const encoded = prefixes(tensors, ".video");
    if (decoded.length + encoded.length === 0) context.skip(`${reference.name} has no autoencoder tensors`);
    const report = new ParityReport(`${reference.name} autoencoder`, tensors);
    const source = await openWeights(nodeFolder(join(checkpoint, "vae")), "diffusion_pytorch_model");
    const config = readJson(join(checkpoint, "vae", "config.json"));
    const vae = await AutoencoderKLCogVideoX.load(device, source, config);
    await source.close();

    for (const prefix of decoded) {
      const latents = channelsFirst(floatTensor(tensors, `${prefix}.latents`));
      const normalised = device.upload(latents.data, latents.shape);
      const raw = vae.denormalize(normalised);
      const video: Float32Array[] = [];
      const bytes: number[] = [];
      for (const frame of vae.decode(latentFrames(device, raw))) {
        expect(frame.shape.slice(0, 2)).toEqual([1, 1]);
        video.push(await device.read(frame));
        const rgb = toRgbFrames(device, frame);
        bytes.push(...(await device.readBytes(rgb)));
        rgb.dispose();
        frame.dispose();
      }
      normalised.dispose();
      raw.dispose();
      report.check(`${prefix}.decoded`, planar(video, 3), caseTolerance(parameters, "decoded"), "decoded");
      if (!report.has(`${prefix}.frames_round`)) continue;
      const { uint8 } = parameters.tolerance as {
        uint8: { max_abs: number; max_fraction_differing: number };
      };
      const golden = values(tensors, `${prefix}.frames_round`);
      report.compare(`${prefix}.frames`, bytes, golden, { max_abs: uint8.max_abs }, "frames");
      const differing = golden.filter((byte, i) => byte !== bytes[i]).length;
      expect(differing / golden.length).toBeLessThanOrEqual(uint8.max_fraction_differing);
    }

    for (const prefix of encoded) {
      const golden = floatTensor(tensors, `${prefix}.video`);
      const video = device.upload(golden.data, golden.shape);
      const encodedMoments = vae.encode(video);
      const moments = await device.read(encodedMoments);
      const half = moments.length / 2;
      const tolerance = caseTolerance(parameters, "encoded");
      const clamped = moments.subarray(half).map((x) => Math.min(20, Math.max(-30, x)));
      report.check(`${prefix}.mean`, moments.subarray(0, half), tolerance, "mean");
      report.check(`${prefix}.logvar`, clamped, tolerance, "logvar");
      for (const t of [video, encodedMoments]) t.dispose();
    }
    vae.dispose();
    expect(device.memory().liveBytes).toBe(0);
    report.finish();
  });

  test("a decoding that is stopped early leaves no memory behind", async (context) => {
    const { tensors, checkpoint } = await openCase(reference);
    const prefix = prefixes(tensors, ".decoded")[0];
    if (prefix === undefined) context.skip(`${reference.name} has no autoencoder tensors`);
    const source = await openWeights(nodeFolder(join(checkpoint, "vae")), "diffusion_pytorch_model");
    const config = readJson(join(checkpoint, "vae", "config.json"));
    const vae = await AutoencoderKLCogVideoX.load(device, source, config);
    await source.close();
    const { data, shape } = channelsFirst(floatTensor(tensors, `${prefix}.latents`));
    const raw = device.upload(data, shape);
    for (const frame of vae.decode(latentFrames(device, raw))) {
      frame.dispose();
      break;
    }
    raw.dispose();
    vae.dispose();
    expect(device.memory().liveBytes).toBe(0);
  });
});
