/** Autoencoders of every family, tiny ones, at work on tiles: against their own whole results of each tile, put together in float64. */
import type { Device, Tensor } from "@lvsa/runtime";
import { seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { HostTensor } from "../../../pipelines/host-tensor.js";
import { encodeFrame } from "../../../pipelines/image-conditions.js";
import { encodeEnds } from "../../../pipelines/wan/wan-image-condition.js";
import {
  CHANNELS,
  FAMILIES,
  FAMILY_NAMES,
  openTiled,
  tilesOf,
} from "../../../testing-support/tiny-autoencoders.js";
import { AutoencoderKLWan } from "../autoencoder-kl-wan.js";
import { latentFrames } from "../latent-frames.js";
import { type Cells, cellsOf, patched, tiledReference, unpatched } from "./tiling.reference.js";
import { type TileDecoder, VaeTiling } from "./vae-tiling.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

/** Part of latents `[1, C, T, h, w]`. */
function cropped(
  { data, shape }: HostTensor,
  [top, left, bottom, right]: readonly [number, number, number, number],
): HostTensor {
  const [, c, t, h, w] = shape as [number, number, number, number, number];
  const out: number[] = [];
  for (let plane = 0; plane < c * t; plane++) {
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) out.push(data[(plane * h + y) * w + x]!);
    }
  }
  return { data: Float32Array.from(out), shape: [1, c, t, bottom - top, right - left] };
}

/** All frames `[H, W, 3]` of latents, without tiles. */
async function wholeFrames(vae: TileDecoder, latents: HostTensor): Promise<Float32Array[]> {
  using uploaded = device.upload(latents.data, latents.shape);
  const raw = latentFrames(device, uploaded);
  const prepared = vae.prepare ? await vae.prepare(raw, {}) : raw;
  return await readAll(vae.decodeUnclamped ? vae.decodeUnclamped(prepared) : vae.decode(prepared));
}

async function readAll(frames: Iterable<Tensor> | AsyncIterable<Tensor>): Promise<Float32Array[]> {
  const all: Float32Array[] = [];
  for await (const frame of frames) {
    all.push(await device.read(frame));
    frame.dispose();
  }
  return all;
}

async function tiledFrames(
  vae: TileDecoder & { readonly tiling?: VaeTiling | undefined },
  latents: HostTensor,
): Promise<Float32Array[]> {
  using uploaded = device.upload(latents.data, latents.shape);
  return await readAll(vae.tiling!.decode(device, vae, latentFrames(device, uploaded))!);
}

function latentsOf(frames: number, height: number, width: number): HostTensor {
  const shape = [1, CHANNELS, frames, height, width];
  return { data: seededNormal(CHANNELS * frames * height * width, 7), shape };
}

/** Planes `[…, h, w]` as numbers of a cell. */
function planesAsChannels({ data }: HostTensor, height: number, width: number): Cells {
  const area = height * width;
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) =>
      Array.from({ length: data.length / area }, (_, plane) => data[plane * area + y * width + x]!),
    ),
  );
}

function worstOf(values: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(values.length).toBe(expected.length);
  let worst = 0;
  for (let i = 0; i < values.length; i++) worst = Math.max(worst, Math.abs(values[i]! - expected[i]!));
  return worst;
}

// Two seams, three roundings of f32 each, of numbers up to 1.
const TOLERANCE = 1e-6;

describe.each(FAMILY_NAMES)("%s", (name) => {
  const { factor, patch } = FAMILIES[name];

  test.each([
    { size: [5, 7], tile: [4, 4], stride: [3, 3], frames: 3 },
    // One row of tiles of an even number of latent frames, the last of them a single column.
    { size: [3, 7], tile: [4, 4], stride: [3, 2], frames: 2 },
  ] as const)("decodes $size in tiles of $tile every $stride", async ({ size, tile, stride, frames }) => {
    const [height, width] = size;
    const vae = await openTiled(device, name, tilesOf(factor, tile, stride));
    const latents = latentsOf(frames, height, width);
    const before = device.memory().liveBytes;
    const found = await tiledFrames(vae, latents);
    expect(device.memory().liveBytes).toBe(before);

    const scale = factor / patch;
    const expected: Cells[] = [];
    for (let frame = 0; frame < found.length; frame++) {
      const cells = await tiledReference(
        size,
        {
          ...{ tile, stride },
          blend: [(tile[0] - stride[0]) * scale, (tile[1] - stride[1]) * scale],
          limit: [stride[0] * scale, stride[1] * scale],
        },
        async (...part) => {
          const tileFrames = await decodedTile(vae, latents, part);
          expect(tileFrames).toHaveLength(found.length);
          return patched(cellsOf(tileFrames[frame]!, (part[3] - part[1]) * factor, 3), patch);
        },
      );
      expected.push(unpatched(cells, patch));
    }
    const worst = found.map((values, i) => worstOf(values, expected[i]!.flat(2)));
    expect(Math.max(...worst)).toBeLessThan(TOLERANCE);
    // Frames that are not cut are others: seams are there to be blended.
    const whole = await wholeFrames(vae, latents);
    const changes = found.map((values, i) => worstOf(values, whole[i]!));
    expect(Math.max(...changes)).toBeGreaterThan(100 * TOLERANCE);
    vae.dispose();
  });

  /** Each tile is decoded once for all frames of a case. */
  const tiles = new WeakMap<HostTensor, Map<string, Promise<Float32Array[]>>>();
  function decodedTile(
    vae: TileDecoder,
    latents: HostTensor,
    part: readonly [number, number, number, number],
  ): Promise<Float32Array[]> {
    const known = tiles.get(latents) ?? new Map<string, Promise<Float32Array[]>>();
    tiles.set(latents, known);
    const key = part.join();
    const frames = known.get(key) ?? wholeFrames(vae, cropped(latents, part));
    known.set(key, frames);
    return frames;
  }

  test("leaves latents that fit a tile to the whole decoder", async () => {
    const vae = await openTiled(device, name, tilesOf(factor, [5, 7], [3, 3]));
    const { data, shape } = latentsOf(1, 5, 7);
    using latents = device.upload(data, shape);
    expect(vae.tiling?.decode(device, vae, latentFrames(device, latents))).toBeUndefined();
    vae.dispose();
  });

  test("encodes pictures in tiles", async () => {
    const [height, width] = [5 * factor, 9 * factor];
    const pixels = seededNormal(3 * height * width, 3, 0.5);
    const vae = await openTiled(device, name, tilesOf(factor, [4, 4], [3, 3]));
    const { mean, logvar } = await encodeFrame(device, vae, pixels, height, width);
    const [tile, stride] = [4 * patch, 3 * patch];
    const whole = { data: pixels, shape: [1, 3, 1, height, width] };
    vae.tiling = undefined;
    const cells = await tiledReference(
      [5, 9],
      { tile: [tile, tile], stride: [stride, stride], blend: [patch, patch], limit: [stride, stride] },
      async (top, left, bottom, right) => {
        const part = cropped(whole, [top * factor, left * factor, bottom * factor, right * factor]);
        const [h, w] = [(bottom - top) * factor, (right - left) * factor];
        const one = await encodeFrame(device, vae, part.data, h, w);
        const both = { data: Float32Array.of(...one.mean.data, ...one.logvar.data), shape: [] };
        return planesAsChannels(both, bottom - top, right - left);
      },
    );
    for (const [half, { data, shape }] of [mean, logvar].entries()) {
      expect(shape).toEqual([1, CHANNELS, 1, 5, 9]);
      const planes = Array.from({ length: CHANNELS }, (_, c) =>
        cells.flatMap((line) => line.map((cell) => cell[half * CHANNELS + c]!)),
      );
      expect(worstOf(data, planes.flat())).toBeLessThan(TOLERANCE);
    }
    const plain = await encodeFrame(device, vae, pixels, height, width);
    expect(worstOf(mean.data, plain.mean.data)).toBeGreaterThan(30 * TOLERANCE);
    vae.dispose();
  });
});

describe.each(["Wan 2.1", "Wan 2.2 with patches"] as const)("%s", (name) => {
  test("encodes a clip between two pictures in tiles, each through all frames", async () => {
    const { factor, patch } = FAMILIES[name];
    const [height, width] = [5 * factor, 9 * factor];
    const numFrames = 9;
    const picture = (seed: number) => seededNormal(3 * height * width, seed, 0.5);
    const [first, last] = [picture(1), picture(2)];
    const vae = await openTiled(device, name, tilesOf(factor, [4, 4], [3, 3]));
    if (!(vae instanceof AutoencoderKLWan)) throw new Error("no Wan");
    const heard: string[] = [];
    const onStage = ({ done, total }: { done: number; total: number }) => heard.push(`${done}/${total}`);
    const video = { numFrames, height, width, first, last };
    const { data, shape } = await encodeEnds(device, vae, video, { onStage });
    expect(shape).toEqual([1, CHANNELS, 3, 5, 9]);
    const tiles = vae.tiling!.encoding({ height, width })!.tiles.length;
    expect(tiles).toBe(patch === 1 ? 6 : 2);
    expect(heard).toEqual(Array.from({ length: 3 * tiles }, (_, i) => `${i + 1}/${3 * tiles}`));

    vae.tiling = undefined;
    const [tile, stride] = [4 * patch, 3 * patch];
    const cells = await tiledReference(
      [5, 9],
      { tile: [tile, tile], stride: [stride, stride], blend: [patch, patch], limit: [stride, stride] },
      async (...part) => {
        const [top, left, bottom, right] = part.map((cell) => cell * factor) as [
          number,
          number,
          number,
          number,
        ];
        const crop = (planes: Float32Array) =>
          cropped({ data: planes, shape: [1, 3, 1, height, width] }, [top, left, bottom, right]).data;
        const size = { height: bottom - top, width: right - left };
        const one = await encodeEnds(
          device,
          vae,
          { ...{ numFrames, ...size }, first: crop(first), last: crop(last) },
          {},
        );
        return planesAsChannels(one, part[2] - part[0], part[3] - part[1]);
      },
    );
    const planes = Array.from({ length: 3 * CHANNELS }, (_, plane) =>
      cells.flatMap((line) => line.map((cell) => cell[plane]!)),
    );
    expect(worstOf(data, planes.flat())).toBeLessThan(TOLERANCE);
    vae.dispose();
  });
});

test("values are cut to their range after blending, not before", async () => {
  const constant = (value: number): TileDecoder["decode"] =>
    function* (latents) {
      yield device.upload(new Float32Array(latents.height * latents.width * 64 * 3).fill(value), [
        ...[1, 1, latents.height * 8, latents.width * 8, 3],
      ]);
    };
  let tile = 0;
  const side = { tile: 16, stride: 8 };
  const tiling = new VaeTiling({}, { ...{ spatialFactor: 8, patchSize: 1 }, height: side, width: side });
  using latents = device.zeros([1, 4, 1, 1, 3]);
  // 3 on the left and −1 on the right are 1 in the middle of the seam; cut before, they would be 0.
  const vae: TileDecoder = {
    decode: constant(Number.NaN),
    decodeUnclamped: (part) => constant([3, -1, -1][tile++]!)(part),
  };
  const [frame] = await readAll(tiling.decode(device, vae, latentFrames(device, latents))!);
  expect(tile).toBe(3);
  const line = Array.from({ length: 24 }, (_, x) => frame![x * 3]);
  const seam = Array.from({ length: 8 }, (_, x) => Math.min(1, 3 - (4 * x) / 8));
  expect(line).toEqual([...Array(8).fill(1), ...seam, ...Array(8).fill(-1)]);
});
