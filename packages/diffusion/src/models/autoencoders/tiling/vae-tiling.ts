/**
 * An autoencoder at work on one tile after the other, so that its memory is that of a tile, and the seams between them
 * blended. Source: `tiled_decode` and `tiled_encode` of diffusers' AutoencoderKLWan, AutoencoderKLHunyuanVideo15 and
 * AutoencoderKLCogVideoX, which differ in the sizes of tiles only.
 *
 * A tile is worked on through the whole clip before the next begins, and its frames wait in main memory. The other order, all
 * tiles of a frame and then the next frame, would need the memory of causal convolutions of all tiles on the GPU at once:
 * that is most of what a decoder takes, and with overlaps more than that of whole frames.
 */
import { type Device, slice, type Tensor, throwIfAborted } from "@lvsa/runtime";
import type { HostTensor } from "../../../pipelines/host-tensor.js";
import { pacedChunks } from "../../../pipelines/paced-chunks.js";
import { readAhead } from "../../../pipelines/read-ahead.js";
import type { LatentFrames } from "../latent-frames.js";
import { cutOut, TileBlender } from "./tile-blender.js";
import type { TileDefaults } from "./tile-defaults.js";
import { type Tile, type TileGrid, type TileSize, tileGrid } from "./tile-grid.js";
import { type TileSizes, tileSizes, type VaeTilingOptions } from "./tile-sizes.js";

/** An autoencoder as far as decoding tiles goes. */
export interface TileDecoder {
  prepare?(raw: LatentFrames, options: { readonly signal?: AbortSignal | undefined }): Promise<LatentFrames>;
  decode(raw: LatentFrames): Iterable<Tensor>;
  /** Where `decode` cuts values to −1 to 1: as they are before, which is what seams are blended of. */
  decodeUnclamped?(raw: LatentFrames): Iterable<Tensor>;
}

export interface DecodeTilesOptions {
  readonly signal?: AbortSignal | undefined;
  /** Hears of frames that are done, those of each tile by themselves, and how many tiles there are. */
  readonly onFrame?: ((done: number, tiles: number) => void) | undefined;
}

/** What is encoded of a picture. */
export interface EncodedTile extends TileSize {
  /** Which of how many tiles, from 0. */
  readonly index: number;
  readonly count: number;
  /** Of planes `[C, H, W]` of the whole picture those of this tile. */
  readonly crop: (planes: Float32Array) => Float32Array;
}

export class VaeTiling {
  /** In pixels. */
  readonly sizes: TileSizes;
  readonly #spatialFactor: number;
  readonly #patchSize: number;

  /** @throws UsageError `BAD_OPTION` as `tileSizes` */
  constructor(options: true | VaeTilingOptions, defaults: TileDefaults) {
    this.sizes = tileSizes(options === true ? {} : options, defaults);
    this.#spatialFactor = defaults.spatialFactor;
    this.#patchSize = defaults.patchSize;
  }

  /** Tiles of latents of this size in cells; undefined where they are decoded whole. */
  decoding(size: TileSize): TileGrid | undefined {
    const [tile, stride] = this.#cells(1);
    return isWithin(size, tile) ? undefined : tileGrid(size, tile, stride);
  }

  /**
   * Tiles, in latent cells, of a picture of this size in pixels; undefined where it is encoded whole. Of an autoencoder with
   * patches diffusers counts sizes in these, so that tiles are larger than those of decoding, but decides in pixels whether
   * it cuts.
   */
  encoding(size: TileSize): TileGrid | undefined {
    const { tileSampleMinHeight: height, tileSampleMinWidth: width } = this.sizes;
    if (isWithin(size, { height, width })) return undefined;
    const factor = this.#spatialFactor;
    const cells = { height: size.height / factor, width: size.width / factor };
    return tileGrid(cells, ...this.#cells(this.#patchSize));
  }

  /** For a result's metadata: sizes as width x height; null where pictures of this size in pixels are not cut. */
  used(size: TileSize): string | null {
    if (!this.#cuts(size)) return null;
    const { tileSampleMinHeight, tileSampleMinWidth } = this.sizes;
    const { tileSampleStrideHeight, tileSampleStrideWidth } = this.sizes;
    return `${tileSampleMinWidth}x${tileSampleMinHeight}, stride ${tileSampleStrideWidth}x${tileSampleStrideHeight}`;
  }

  /** That nothing is cut. */
  notes(size: TileSize): string[] {
    if (this.#cuts(size)) return [];
    const { tileSampleMinHeight, tileSampleMinWidth } = this.sizes;
    const tile = `${tileSampleMinWidth}x${tileSampleMinHeight}`;
    return [`vaeTiling had no effect: frames of ${size.width}x${size.height} fit a tile of ${tile}.`];
  }

  #cuts({ height, width }: TileSize): boolean {
    const factor = this.#spatialFactor;
    return this.decoding({ height: height / factor, width: width / factor }) !== undefined;
  }

  #cells(times: number): [tile: TileSize, stride: TileSize] {
    const { tileSampleMinHeight, tileSampleMinWidth, tileSampleStrideHeight, tileSampleStrideWidth } =
      this.sizes;
    const cells = (pixels: number) => (pixels * times) / this.#spatialFactor;
    return [
      { height: cells(tileSampleMinHeight), width: cells(tileSampleMinWidth) },
      { height: cells(tileSampleStrideHeight), width: cells(tileSampleStrideWidth) },
    ];
  }

  /**
   * Raw latents to video frames `[1, 1, H, W, C]` f32 one at a time, as `decode` of the autoencoder, with seams blended;
   * undefined where latents are not cut. Frames come with the last tile, those of the others wait in main memory: 12 bytes for
   * each pixel of the clip, and about a sixth more for overlaps.
   * The generator throws AbortError.
   */
  decode(
    device: Device,
    vae: TileDecoder,
    latents: LatentFrames,
    options: DecodeTilesOptions = {},
  ): AsyncGenerator<Tensor, void, undefined> | undefined {
    const grid = this.decoding(latents);
    return grid && this.#decodeTiles(device, vae, latents, grid, options);
  }

  async *#decodeTiles(
    device: Device,
    vae: TileDecoder,
    latents: LatentFrames,
    grid: TileGrid,
    { signal, onFrame }: DecodeTilesOptions,
  ): AsyncGenerator<Tensor, void, undefined> {
    const [scale, unit] = [this.#spatialFactor, this.#patchSize];
    let blender: TileBlender | undefined;
    let done = 0;
    for (const tile of grid.tiles) {
      const part = latentsOf(device, latents, tile);
      const raw = vae.prepare ? await vae.prepare(part, { signal }) : part;
      const chunks = vae.decodeUnclamped ? vae.decodeUnclamped(raw) : vae.decode(raw);
      let frame = 0;
      for await (const { values, channels } of readAhead(pacedChunks(device, chunks), readChunk(device))) {
        throwIfAborted(signal, "decoding");
        blender ??= new TileBlender({ ...{ grid, scale, unit, channels } });
        const size = tile.height * tile.width * scale * scale * channels;
        for (let at = 0; at < values.length; at += size, frame++) {
          blender.add(tile, frame, values.subarray(at, at + size));
          done += 1;
          onFrame?.(done, grid.tiles.length);
          if (tile !== grid.tiles.at(-1)) continue;
          const picture = blender.take(frame);
          if (vae.decodeUnclamped) clampInPlace(picture);
          yield device.upload(picture, [1, 1, grid.height * scale, grid.width * scale, channels]);
        }
      }
      // The next tile may have another size, and then fits none of this one's memory.
      await device.releaseMemory();
    }
  }

  /**
   * Moments `[1, 2·z, T, h, w]` of a picture or clip of this size in pixels, put together from those that `encode` makes of
   * each tile; undefined where it is not cut.
   */
  encode(
    device: Device,
    size: TileSize,
    encode: (tile: EncodedTile) => Promise<HostTensor>,
  ): Promise<HostTensor> | undefined {
    const grid = this.encoding(size);
    return grid && this.#encodeTiles(device, size, grid, encode);
  }

  async #encodeTiles(
    device: Device,
    size: TileSize,
    grid: TileGrid,
    encode: (tile: EncodedTile) => Promise<HostTensor>,
  ): Promise<HostTensor> {
    // A channel of a latent frame is a picture of its own.
    const blender = new TileBlender({ ...{ grid, scale: 1, unit: 1, channels: 1 } });
    let leading: readonly number[] = [];
    for (const [index, tile] of grid.tiles.entries()) {
      const pixels = inPixels(tile, this.#spatialFactor);
      const crop = (planes: Float32Array) => cropPlanes(planes, size, pixels);
      const count = grid.tiles.length;
      const { height, width } = pixels;
      const { data, shape } = await encode({ ...{ height, width, index, count, crop } });
      leading = shape.slice(0, -2);
      const area = tile.height * tile.width;
      for (let plane = 0; plane * area < data.length; plane++) {
        blender.add(tile, plane, data.slice(plane * area, (plane + 1) * area));
      }
      await device.releaseMemory();
    }
    const planes = leading.reduce((product, one) => product * one, 1);
    const area = grid.height * grid.width;
    const data = new Float32Array(planes * area);
    for (let plane = 0; plane < planes; plane++) data.set(blender.take(plane), plane * area);
    return { data, shape: [...leading, grid.height, grid.width] };
  }
}

function isWithin(size: TileSize, tile: TileSize): boolean {
  return size.height <= tile.height && size.width <= tile.width;
}

/** The tile's part of each latent frame. */
function latentsOf(device: Device, latents: LatentFrames, { top, left, height, width }: Tile): LatentFrames {
  return {
    ...{ count: latents.count, height, width },
    rows: (start, end) =>
      device.scope(() => {
        const rows = slice(device, latents.rows(start, end), 1, top, top + height);
        return slice(device, rows, 2, left, left + width);
      }),
  };
}

/** Numbers of chunks `[1, t, h, w, C]`, which are freed once their reading is recorded. */
function readChunk(device: Device) {
  return async (chunk: Tensor): Promise<{ values: Float32Array; channels: number }> => {
    const channels = chunk.dim(4);
    const read = () => {
      using frames = chunk;
      return device.read(frames);
    };
    return { values: await read(), channels };
  };
}

function clampInPlace(values: Float32Array): void {
  // What is no number stays none.
  for (let i = 0; i < values.length; i++) values[i] = Math.min(1, Math.max(-1, values[i]!));
}

function inPixels({ top, left, height, width }: Tile, factor: number): Omit<Tile, "row" | "column"> {
  return { top: top * factor, left: left * factor, height: height * factor, width: width * factor };
}

function cropPlanes(
  planes: Float32Array,
  whole: TileSize,
  { top, left, height, width }: Omit<Tile, "row" | "column">,
): Float32Array {
  const area = whole.height * whole.width;
  const out = new Float32Array((planes.length / area) * height * width);
  for (let plane = 0; plane * area < planes.length; plane++) {
    const one = planes.subarray(plane * area, (plane + 1) * area);
    out.set(cutOut(one, whole.width, [top, top + height], [left, left + width]), plane * height * width);
  }
  return out;
}
