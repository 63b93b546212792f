import { join } from "node:path";
import { type Device, openWeights, permute } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { floatTensor, referenceCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ParityReport, type WanTolerances } from "../../testing-support/parity.js";
import { hasExpected, openCase, readJson } from "../../testing-support/reference-case.js";
import { AutoencoderKLWan } from "./autoencoder-kl-wan.js";
import { latentFrames } from "./latent-frames.js";

const cases = referenceCases("wan").filter(hasExpected);
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("the reference folder holds Wan autoencoder cases", () => {
  requireCases(cases);
});

describe.each(cases)("$name", (reference) => {
  test("decoding and encoding chunk by chunk equal diffusers", async (context) => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    const decoded = Object.keys(tensors).filter((n) => /^vae\.decode_\w+\.latents$/.test(n));
    if (decoded.length === 0) context.skip(`${reference.name} has no autoencoder tensors`);
    const { single_pass } = (parameters.tolerances as WanTolerances).float32_compute;
    const report = new ParityReport(`${reference.name} autoencoder`, tensors);
    const source = await openWeights(nodeFolder(join(checkpoint, "vae")), "diffusion_pytorch_model");
    const vae = await AutoencoderKLWan.load(device, source, readJson(join(checkpoint, "vae", "config.json")));
    await source.close();

    for (const name of decoded) {
      const latents = floatTensor(tensors, name);
      const input = device.upload(latents.data, latents.shape);
      const [, channels, frames, height, width] = floatTensor(tensors, name.replace("latents", "video"))
        .shape as number[];
      const video = new Float32Array(channels! * frames! * height! * width!);
      let frame = 0;
      for (const chunk of vae.decode(latentFrames(device, input))) {
        const count = chunk.dim(1);
        const planar = device.scope(() =>
          permute(device, chunk.reshape([count, height! * width!, channels!]), [2, 0, 1]),
        );
        const values = await device.read(planar);
        planar.dispose();
        chunk.dispose();
        const area = height! * width!;
        for (let c = 0; c < channels!; c++) {
          video.set(values.subarray(c * count * area, (c + 1) * count * area), (c * frames! + frame) * area);
        }
        frame += count;
      }
      input.dispose();
      expect(frame).toBe(frames);
      report.check(name.replace("latents", "video"), video, single_pass, "decode");
    }
    if (tensors["vae.encode.video"]) {
      const golden = floatTensor(tensors, "vae.encode.video");
      const video = device.upload(golden.data, golden.shape);
      const moments = await vae.encode(video);
      report.check("vae.encode.moments", await device.read(moments), single_pass, "encode");
      const [, z2, ...rest] = moments.shape as [number, number, ...number[]];
      const mean = device.scope(() =>
        moments
          .reshape([z2, ...rest])
          .rows(0, z2 / 2)
          .reshape([1, z2 / 2, ...rest]),
      );
      report.check("vae.encode.mean", await device.read(mean), single_pass, "encode");
      const normalised = vae.normalize(mean);
      report.check("vae.encode.normalised", await device.read(normalised), single_pass, "encode");
      for (const t of [video, moments, mean, normalised]) t.dispose();
    }
    vae.dispose();
    report.finish();
    expect(device.memory().liveBytes).toBe(0);
  });
});
