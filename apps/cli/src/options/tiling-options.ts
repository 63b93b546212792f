/** Tiles of the autoencoder, as the commands that decode have them. */
import type { VaeTilingOptions } from "@lvsa/diffusion";
import type { Command } from "commander";
import * as z from "zod";
import { parseOptions } from "./parse-options.js";

/** `256`, or width x height: `320x256`. */
function pixelSize() {
  return z
    .string()
    .regex(/^[1-9]\d{0,5}(x[1-9]\d{0,5})?$/, "expected a number of pixels, or width x height such as 320x256")
    .transform((text) => {
      const [width, height = width] = text.split("x").map(Number);
      return { width: width!, height: height! };
    });
}

export const tilingFields = {
  /** Undefined: where sizes are given. */
  vaeTiling: z.boolean().optional(),
  vaeTileSize: pixelSize().optional(),
  vaeTileStride: pixelSize().optional(),
};

const fields = z.object(tilingFields);
type TilingFlags = z.infer<typeof fields>;

export function addTilingOptions(command: Command): Command {
  return command
    .option(
      "--vae-tiling",
      "decode (and encode pictures) in tiles with blended seams, in the memory of a tile: other pictures (default: whole frames)",
    )
    .option(
      "--vae-tile-size <pixels>",
      "of a tile, or <width>x<height>; tiles are on then (default: the model's, 256)",
    )
    .option(
      "--vae-tile-stride <pixels>",
      "from one tile to the next, or <width>x<height>; tiles are on then (default: the model's, 192)",
    );
}

/** The library's option; undefined where frames stay whole. */
export function tilingOf({
  vaeTiling,
  vaeTileSize: size,
  vaeTileStride: stride,
}: TilingFlags): true | VaeTilingOptions | undefined {
  if (!size && !stride) return vaeTiling || undefined;
  return {
    ...(size ? { tileSampleMinHeight: size.height, tileSampleMinWidth: size.width } : {}),
    ...(stride ? { tileSampleStrideHeight: stride.height, tileSampleStrideWidth: stride.width } : {}),
  };
}

/** Of a run's options as they were typed. */
export function typedTiling(given: Readonly<Record<string, unknown>> = {}): ReturnType<typeof tilingOf> {
  const { vaeTiling, vaeTileSize, vaeTileStride } = given;
  return tilingOf(parseOptions(fields, { vaeTiling, vaeTileSize, vaeTileStride }));
}
