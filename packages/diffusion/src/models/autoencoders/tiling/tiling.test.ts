/** Sizes, places and seams of tiles, without a GPU. */
import { seededNormal } from "@lvsa/runtime/testing";
import { describe, expect, test } from "vitest";
import { getModelClass } from "../../model-classes.js";
import { TileBlender } from "./tile-blender.js";
import type { TileDefaults } from "./tile-defaults.js";
import { tileGrid } from "./tile-grid.js";
import { tileSizes, type VaeTilingOptions } from "./tile-sizes.js";
import { type Cells, cellsOf, patched, tiledReference, unpatched } from "./tiling.reference.js";
import { VaeTiling } from "./vae-tiling.js";

function defaultsOf(className: string, config: Record<string, unknown> = {}): TileDefaults {
  const { parseConfig, tiling } = getModelClass(className);
  return tiling!(parseConfig(config));
}

const WAN = defaultsOf("AutoencoderKLWan");
const RESIDUAL = defaultsOf("AutoencoderKLWan", {
  ...{ is_residual: true, patch_size: 2, in_channels: 12, out_channels: 12 },
});
const HUNYUAN = defaultsOf("AutoencoderKLHunyuanVideo15");
const COGVIDEOX = defaultsOf("AutoencoderKLCogVideoX");

describe("sizes", () => {
  const square = (tile: number, stride: number) => ({
    ...{ tileSampleMinHeight: tile, tileSampleMinWidth: tile },
    ...{ tileSampleStrideHeight: stride, tileSampleStrideWidth: stride },
  });

  test("are those of diffusers where nothing is given", () => {
    expect(tileSizes({}, WAN)).toEqual(square(256, 192));
    expect(tileSizes({}, RESIDUAL)).toEqual(square(256, 192));
    expect(tileSizes({}, HUNYUAN)).toEqual(square(256, 192));
    // Half of 480x720, overlaps of a sixth and a fifth.
    expect(tileSizes({}, COGVIDEOX)).toEqual({
      ...{ tileSampleMinHeight: 240, tileSampleMinWidth: 360 },
      ...{ tileSampleStrideHeight: 200, tileSampleStrideWidth: 288 },
    });
  });

  test("a tile of another size keeps diffusers' stride or overlap, and never leaves gaps", () => {
    const tile = (size: number) => ({ tileSampleMinHeight: size, tileSampleMinWidth: size });
    expect(tileSizes(tile(384), WAN)).toEqual(square(384, 192));
    expect(tileSizes(tile(128), WAN)).toEqual(square(128, 96));
    expect(tileSizes(tile(512), HUNYUAN)).toEqual(square(512, 384));
    expect(tileSizes(tile(8), WAN)).toEqual(square(8, 8));
  });

  test.each([
    [
      { tileSampleHeight: 96 },
      /unknown option tileSampleHeight; did you mean tileSample/,
      "tileSampleMinHeight,",
    ],
    [
      { tileSampleMinHeight: 0.5 },
      /tileSampleMinHeight: expected a number of pixels/,
      "Options of vaeTiling",
    ],
    [{ tileSampleMinHeight: 100 }, /tileSampleMinHeight is 100.* 8 pixels/, "Use 96 or 104."],
    [{ tileSampleMinWidth: 4 }, /tileSampleMinWidth is 4/, "Use 8."],
    [{ tileSampleStrideWidth: 90 }, /tileSampleStrideWidth is 90/, "Use 88 or 96."],
    [{ tileSampleStrideHeight: 264 }, /tileSampleStrideHeight is 264.* 256 pixels/, "Use at most 256"],
    [{ tileSampleMinWidth: 64, tileSampleStrideWidth: 72 }, /gaps/, "Use at most 64"],
  ])("%o is refused", (given, message, fix) => {
    expect(() => tileSizes(given as VaeTilingOptions, WAN)).toThrow(
      expect.objectContaining({
        ...{ code: "BAD_OPTION", message: expect.stringMatching(message) },
        fix: expect.stringContaining(fix),
      }),
    );
  });
});

describe("places", () => {
  const square = (size: number) => ({ height: size, width: size });

  test("a picture no larger than a tile is whole", () => {
    const tiling = new VaeTiling({ tileSampleMinHeight: 64, tileSampleMinWidth: 64 }, WAN);
    expect(tiling.decoding(square(8))).toBeUndefined();
    expect(tiling.encoding(square(64))).toBeUndefined();
    expect(tiling.decoding({ height: 8, width: 9 })?.tiles).toHaveLength(4);
    expect(tiling.encoding({ height: 72, width: 64 })?.tiles).toHaveLength(4);
  });

  test("a tile begins at every stride, also where one before it reaches the edge", () => {
    const { tiles } = tileGrid({ height: 8, width: 13 }, square(8), square(6));
    expect(tiles.map(({ top, left, height, width }) => [top, left, height, width])).toEqual([
      ...[
        [0, 0, 8, 8],
        [0, 6, 8, 7],
        [0, 12, 8, 1],
      ],
      ...[
        [6, 0, 2, 8],
        [6, 6, 2, 7],
        [6, 12, 2, 1],
      ],
    ]);
  });

  test("an autoencoder with patches counts sizes of encoding in these", () => {
    const tiling = new VaeTiling({}, RESIDUAL);
    expect(tiling.decoding({ height: 17, width: 16 })?.tile).toEqual(square(16));
    expect(tiling.encoding({ height: 256, width: 256 })).toBeUndefined();
    const encoding = tiling.encoding({ height: 480, width: 256 });
    expect([encoding?.tile, encoding?.stride]).toEqual([square(32), square(24)]);
    // The first tile has all that is there.
    expect(encoding?.tiles.map(({ top, height }) => [top, height])).toEqual([
      [0, 30],
      [24, 6],
    ]);
  });

  test("metadata and notes say whether anything is cut", () => {
    const tiling = new VaeTiling({ tileSampleMinWidth: 320 }, WAN);
    expect(tiling.used({ height: 480, width: 832 })).toBe("320x256, stride 192x192");
    expect(tiling.notes({ height: 480, width: 832 })).toEqual([]);
    expect(tiling.used({ height: 256, width: 320 })).toBeNull();
    expect(tiling.notes({ height: 256, width: 320 })).toEqual([
      "vaeTiling had no effect: frames of 320x256 fit a tile of 320x256.",
    ]);
  });
});

describe("seams", () => {
  const cases = [
    { size: [11, 14], tile: [8, 6], stride: [6, 4], scale: 2, unit: 1 },
    // The last tiles are smaller than the overlap.
    { size: [7, 13], tile: [8, 8], stride: [6, 6], scale: 1, unit: 1 },
    // One row of tiles, and one column.
    { size: [3, 20], tile: [8, 8], stride: [5, 5], scale: 3, unit: 1 },
    { size: [20, 2], tile: [8, 8], stride: [4, 4], scale: 2, unit: 2 },
    // Patches of pixels have one weight.
    { size: [9, 10], tile: [6, 4], stride: [4, 3], scale: 4, unit: 2 },
    // Nothing is shared; all but one row is.
    { size: [9, 9], tile: [4, 4], stride: [4, 4], scale: 2, unit: 1 },
    { size: [6, 6], tile: [4, 4], stride: [1, 1], scale: 2, unit: 1 },
  ] as const;

  test.each(cases)("$size in tiles of $tile every $stride, times $scale", async (one) => {
    const { scale, unit } = one;
    const [height, width] = one.size;
    const rect = ([h, w]: readonly [number, number]) => ({ height: h, width: w });
    const grid = tileGrid(rect(one.size), rect(one.tile), rect(one.stride));
    const blender = new TileBlender({ grid, scale, unit, channels: 3 });
    const frames = 2;
    const numbers = grid.tiles.map((tile, i) =>
      Array.from({ length: frames }, (_, frame) =>
        seededNormal(tile.height * tile.width * scale * scale * 3, 100 * i + frame),
      ),
    );
    for (const [i, tile] of grid.tiles.entries()) {
      for (const [frame, values] of numbers[i]!.entries()) blender.add(tile, frame, values.slice());
    }
    for (let frame = 0; frame < frames; frame++) {
      let next = 0;
      const times = (by: number) => (x: number) => x * by;
      const sides = (sizes: readonly [number, number], by: number) =>
        sizes.map(times(by)) as [number, number];
      const by = scale / unit;
      const expected = await tiledReference(
        [height, width],
        {
          ...{ tile: one.tile, stride: one.stride },
          blend: sides([one.tile[0] - one.stride[0], one.tile[1] - one.stride[1]], by),
          limit: sides(one.stride, by),
        },
        async (_top, left, _bottom, right) =>
          patched(cellsOf(numbers[next++]![frame]!, (right - left) * scale, 3), unit),
      );
      expect(next).toBe(grid.tiles.length);
      // Three roundings of f32 for each of two seams, of numbers up to 5.
      expectCells(blender.take(frame), unpatched(expected, unit), 2e-6);
    }
  });

  test("a tile that is not blended is seen", async () => {
    const grid = tileGrid({ height: 4, width: 6 }, { height: 4, width: 4 }, { height: 4, width: 2 });
    const blender = new TileBlender({ grid, scale: 1, unit: 1, channels: 1 });
    for (const tile of grid.tiles) {
      blender.add(tile, 0, new Float32Array(tile.height * tile.width).fill(tile.column));
    }
    expect([...blender.take(0).slice(0, 6)]).toEqual([0, 0, 0, 0.5, 1, 1.5]);
  });
});

function expectCells(values: Float32Array, expected: Cells, tolerance: number): void {
  const flat = expected.flat(2);
  expect(values.length).toBe(flat.length);
  const worst = flat.reduce((most, value, i) => Math.max(most, Math.abs(value - values[i]!)), 0);
  expect(worst).toBeLessThan(tolerance);
}
