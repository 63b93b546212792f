/** GPU memory of decoding in tiles, counted on a device that computes nothing. */
import { type CountingGpu, countingGpu } from "@lvsa/runtime";
import { describe, expect, test } from "vitest";
import {
  FAMILIES,
  FAMILY_NAMES,
  type Family,
  openTiled,
  tilesOf,
} from "../../../testing-support/tiny-autoencoders.js";
import type { LatentFrames } from "../latent-frames.js";

const CHANNELS = 4;

/** Of decoding `frames` latent frames of `size` x `size` cells, without weights. */
async function peakOf(name: Family, frames: number, size: number, isTiled: boolean): Promise<number> {
  const gpu: CountingGpu = countingGpu();
  const { device } = gpu;
  const vae = await openTiled(device, name, tilesOf(FAMILIES[name].factor, [8, 8], [6, 6]));
  await device.releaseMemory();
  const weights = device.memory().liveBytes;
  gpu.resetPeak();
  const latents: LatentFrames = {
    ...{ count: frames, height: size, width: size },
    rows: (start, end) => device.zeros([end - start, size, size, CHANNELS]),
  };
  const whole = async () => vae.decode("prepare" in vae ? await vae.prepare(latents) : latents);
  const decoded = isTiled ? vae.tiling!.decode(device, vae, latents)! : await whole();
  let count = 0;
  for await (const frame of decoded) {
    frame.dispose();
    count += 1;
  }
  expect(count).toBeGreaterThan(3 * (frames - 1));
  expect(device.memory().liveBytes).toBe(weights);
  const { peakBytes } = device.memory();
  vae.dispose();
  device.dispose();
  return peakBytes - weights;
}

describe.each(FAMILY_NAMES)("%s", (name) => {
  test("needs the memory of a tile, however long the clip and large the picture", async () => {
    const peak = await peakOf(name, 4, 14, true);
    expect(peak).toBeLessThan(0.5 * (await peakOf(name, 4, 14, false)));
    // HunyuanVideo's attention looks back over the clip: its keys and values of a tile grow with it.
    if (name !== "HunyuanVideo") expect(await peakOf(name, 8, 14, true)).toBe(peak);
    // Only the finished frame and a frame of latents are as large as the picture.
    expect(await peakOf(name, 4, 20, true)).toBeLessThan(1.5 * peak);
  });

  test("leaves nothing on the GPU where a reader leaves", async () => {
    const { device } = countingGpu();
    const vae = await openTiled(device, name, tilesOf(FAMILIES[name].factor, [4, 4], [3, 3]));
    const weights = device.memory().liveBytes;
    const latents: LatentFrames = {
      ...{ count: 3, height: 6, width: 6 },
      rows: (start, end) => device.zeros([end - start, 6, 6, CHANNELS]),
    };
    for await (const frame of vae.tiling!.decode(device, vae, latents)!) {
      frame.dispose();
      break;
    }
    expect(device.memory().liveBytes).toBe(weights);
    const controller = new AbortController();
    let heard = 0;
    const decoded = vae.tiling!.decode(device, vae, latents, {
      signal: controller.signal,
      onFrame: (done) => {
        heard = done;
        if (done === 4) controller.abort();
      },
    });
    await expect(decoded!.next()).rejects.toThrow(expect.objectContaining({ code: "ABORTED" }));
    expect(heard).toBe(4);
    expect(device.memory().liveBytes).toBe(weights);
    vae.dispose();
    device.dispose();
  });
});
