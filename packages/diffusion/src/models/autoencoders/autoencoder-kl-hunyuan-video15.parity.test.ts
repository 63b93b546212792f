import { join } from "node:path";
import { type Device, openWeights, type Tensor, toRgbFrames } from "@lvsa/runtime";
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
import { AutoencoderKLHunyuanVideo15 } from "./autoencoder-kl-hunyuan-video15.js";
import { latentFrames } from "./latent-frames.js";

const cases = referenceCases("hunyuan").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

/** Channels-last frames `[T, H·W, C]`, as read, to the golden layout `[C, T, H·W]`. */
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

test("the reference folder holds HunyuanVideo cases", () => {
  requireCases(cases);
});

describe.each(cases)("$name", (reference) => {
  test("decoding and encoding frame by frame equal diffusers, and leave no memory behind", async (context) => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    const decoded = prefixes(tensors, ".decoded");
    const encoded = prefixes(tensors, ".video");
    if (decoded.length + encoded.length === 0) context.skip(`${reference.name} has no autoencoder tensors`);
    const report = new ParityReport(`${reference.name} autoencoder`, tensors);
    const source = await openWeights(nodeFolder(join(checkpoint, "vae")), "diffusion_pytorch_model");
    const config = readJson(join(checkpoint, "vae", "config.json"));
    const vae = await AutoencoderKLHunyuanVideo15.load(device, source, config);
    await source.close();

    for (const prefix of decoded) {
      const latents = floatTensor(tensors, `${prefix}.latents`);
      const normalised = device.upload(latents.data, latents.shape);
      const raw = vae.denormalize(normalised);
      const stages = new Map<string, Tensor[]>();
      const keep = (name: string, tensor: Tensor) => {
        const copy = device.empty(tensor.shape, tensor.dtype, { pinned: true });
        device.copyBytes(tensor, copy);
        stages.set(name, [...(stages.get(name) ?? []), copy]);
      };
      const video: Float32Array[] = [];
      const bytes: number[] = [];
      const prepared = await vae.prepare(latentFrames(device, raw), { tap: keep });
      for (const frame of vae.decode(prepared, keep)) {
        expect(frame.shape.slice(0, 2)).toEqual([1, 1]);
        video.push(await device.read(frame));
        const rgb = toRgbFrames(device, frame);
        bytes.push(...(await device.readBytes(rgb)));
        rgb.dispose();
        frame.dispose();
      }
      normalised.dispose();
      raw.dispose();
      const tolerance = caseTolerance(parameters, "decoded");
      for (const [name, parts] of stages) {
        const channels = parts[0]!.dim(4);
        const frames = await Promise.all(parts.map((part) => device.read(part)));
        for (const part of parts) part.dispose();
        if (report.has(`${prefix}.${name}`))
          report.check(`${prefix}.${name}`, planar(frames, channels), tolerance, name);
      }
      report.check(`${prefix}.decoded`, planar(video, 3), tolerance, "decoded");
      const uint8 = parameters.tolerance as { uint8: { max_abs: number; max_fraction_differing: number } };
      const golden = values(tensors, `${prefix}.frames_round`);
      report.compare(`${prefix}.frames`, bytes, golden, { max_abs: uint8.uint8.max_abs }, "frames");
      const differing = golden.filter((byte, i) => byte !== bytes[i]).length;
      expect(differing / golden.length).toBeLessThanOrEqual(uint8.uint8.max_fraction_differing);
    }

    for (const prefix of encoded) {
      const golden = floatTensor(tensors, `${prefix}.video`);
      const video = device.upload(golden.data, golden.shape);
      const encodedMoments = vae.encode(video);
      const moments = await device.read(encodedMoments);
      const half = moments.length / 2;
      const mean = moments.subarray(0, half);
      const tolerance = caseTolerance(parameters, "encoded");
      const clamped = moments.subarray(half).map((x) => Math.min(20, Math.max(-30, x)));
      report.check(`${prefix}.mean`, mean, tolerance, "mean");
      report.check(`${prefix}.logvar`, clamped, tolerance, "logvar");
      const uploaded = device.upload(mean, floatTensor(tensors, `${prefix}.mean`).shape);
      const latents = vae.normalize(uploaded);
      report.check(`${prefix}.latents`, await device.read(latents), tolerance, "latents");
      for (const t of [video, encodedMoments, uploaded, latents]) t.dispose();
    }
    vae.dispose();
    expect(device.memory().liveBytes).toBe(0);
    report.finish();
  });
});
