/** Sizes of an autoencoder's tiles: those of diffusers, or what is given instead. */
import { checkOptions } from "@lvsa/runtime";
import * as z from "zod";
import { badOption } from "../../../pipelines/bad-option.js";
import type { TileDefaults, TileSide } from "./tile-defaults.js";

/** As diffusers' `enable_tiling`, in pixels; what is left out is the autoencoder's own. */
export interface VaeTilingOptions {
  /** Height of a tile. Frames that are no larger than a tile on either side are not cut. */
  readonly tileSampleMinHeight?: number | undefined;
  /** Width of a tile. */
  readonly tileSampleMinWidth?: number | undefined;
  /** From the top of a tile to the top of the one below: what they share is blended. */
  readonly tileSampleStrideHeight?: number | undefined;
  /** From the left of a tile to the left of the next. */
  readonly tileSampleStrideWidth?: number | undefined;
}

export type TileSizes = Readonly<Record<keyof VaeTilingOptions, number>>;

const pixels = z.int("expected a number of pixels").min(1, "expected a number of pixels").optional();
const schema = z.strictObject(
  {
    tileSampleMinHeight: pixels,
    tileSampleMinWidth: pixels,
    tileSampleStrideHeight: pixels,
    tileSampleStrideWidth: pixels,
  } satisfies Record<keyof VaeTilingOptions, unknown>,
  "expected true, false or sizes",
);

/** Share of a tile that its neighbour has too, where diffusers' stride is larger than the tile. */
const USUAL_OVERLAP = 1 / 4;

/**
 * @throws UsageError `BAD_OPTION` for names that are unknown, sizes that are no whole latent cells, and strides that leave
 *   gaps
 */
export function tileSizes(given: VaeTilingOptions, defaults: TileDefaults): TileSizes {
  checkOptions(schema, given, "vaeTiling");
  const { spatialFactor } = defaults;
  const whole = (name: keyof VaeTilingOptions, pixels: number) => {
    if (pixels > 0 && pixels % spatialFactor === 0) return pixels;
    const below = Math.floor(pixels / spatialFactor) * spatialFactor;
    const near = [below, below + spatialFactor].filter((size) => size > 0);
    throw badOption(
      `vaeTiling: ${name} is ${pixels}, and a latent cell of this model has ${spatialFactor} pixels`,
      `Use ${near.join(" or ")}.`,
    );
  };
  const side = (name: "Height" | "Width", usual: TileSide) => {
    const [tileName, strideName] = [`tileSampleMin${name}`, `tileSampleStride${name}`] as const;
    const tile = whole(tileName, given[tileName] ?? usual.tile);
    const stride = whole(strideName, given[strideName] ?? usualStride(tile, usual, spatialFactor));
    if (stride <= tile) return [tile, stride] as const;
    throw badOption(
      `vaeTiling: ${strideName} is ${stride}, and tiles of ${tile} pixels would leave gaps`,
      `Use at most ${tile}; three quarters of the tile are usual.`,
    );
  };
  const [tileSampleMinHeight, tileSampleStrideHeight] = side("Height", defaults.height);
  const [tileSampleMinWidth, tileSampleStrideWidth] = side("Width", defaults.width);
  return { tileSampleMinHeight, tileSampleMinWidth, tileSampleStrideHeight, tileSampleStrideWidth };
}

/** In whole latent cells, as diffusers rounds; at least one. */
function usualStride(tile: number, usual: TileSide, spatialFactor: number): number {
  if ("stride" in usual && usual.stride <= tile) return usual.stride;
  const overlap = "overlap" in usual ? usual.overlap : USUAL_OVERLAP;
  return Math.max(1, Math.floor((tile / spatialFactor) * (1 - overlap))) * spatialFactor;
}
