/** An autoencoder's tiles where only their time and memory count. */
import type { ComponentDescription } from "../catalog/model-description.js";
import type { LatentFrames } from "../models/autoencoders/latent-frames.js";
import type { TileGrid, TileSize } from "../models/autoencoders/tiling/tile-grid.js";
import type { VaeTilingOptions } from "../models/autoencoders/tiling/tile-sizes.js";
import { type TileDecoder, VaeTiling } from "../models/autoencoders/tiling/vae-tiling.js";
import { getModelClass } from "../models/model-classes.js";

/** Latent frames after which a decoder's memory is what it stays: the first chunk, and two that follow it. */
const DECODED_LATENTS = 7;

/**
 * Tiles as of `PipelineOptions.vaeTiling`. @param areAbridged of each size one: what the others need is known then
 * @throws UsageError `BAD_OPTION` for sizes that do not fit the autoencoder
 */
export function standInTiling(
  { className, config }: ComponentDescription,
  options: true | VaeTilingOptions,
  areAbridged: boolean,
): VaeTiling {
  const definition = getModelClass(className);
  const defaults = definition.tiling!(definition.parseConfig(config));
  return new (areAbridged ? AbridgedTiling : VaeTiling)(options, defaults);
}

class AbridgedTiling extends VaeTiling {
  override decode(...[device, vae, ...others]: Parameters<VaeTiling["decode"]>) {
    return super.decode(device, abridged(vae), ...others);
  }

  override decoding(size: TileSize): TileGrid | undefined {
    return oneOfEachSize(super.decoding(size));
  }

  override encoding(size: TileSize): TileGrid | undefined {
    return oneOfEachSize(super.encoding(size));
  }
}

/** The last of each, so that the last tile of all stays that. */
function oneOfEachSize(grid: TileGrid | undefined): TileGrid | undefined {
  if (!grid) return undefined;
  const last = new Map(grid.tiles.map((tile) => [`${tile.width}x${tile.height}`, tile]));
  return { ...grid, tiles: grid.tiles.filter((tile) => last.get(`${tile.width}x${tile.height}`) === tile) };
}

/** A decoder that stops where nothing new would be needed; what looks back over the clip sees all of it. */
function abridged(vae: TileDecoder): TileDecoder {
  // Whether their number is odd decides the first chunk of CogVideoX.
  const first = (latents: LatentFrames) => {
    const most = DECODED_LATENTS + ((latents.count + 1) % 2);
    return { ...latents, count: Math.min(latents.count, most) };
  };
  return {
    ...(vae.prepare ? { prepare: (latents, options) => vae.prepare!(latents, options) } : {}),
    decode: (latents) => vae.decode(first(latents)),
    ...(vae.decodeUnclamped ? { decodeUnclamped: (latents) => vae.decodeUnclamped!(first(latents)) } : {}),
  };
}
