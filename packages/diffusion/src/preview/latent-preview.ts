/**
 * Latents as small pictures: a linear map from a latent cell's channels to a colour. It is what the checkpoint states
 * (`latent_rgb` in its `lvsa.json`), or fitted to the first clip that is decoded (least squares of the decoded pixels on the
 * channels); until then the three directions in which the latents differ most stand for the colours, which shows shapes
 * and motion.
 */
import type { HostTensor } from "../pipelines/host-tensor.js";
import { principalDirections, solve } from "./linear-algebra.js";

/** Cells that directions and colours are fitted to. */
const CELLS = 4096;

/** Rows of channel weights and a constant, for red, green and blue from 0 to 1. */
export type ColourMap = readonly (readonly number[])[];

/** What the latents look like, one small picture per latent frame. */
export interface Preview {
  /** Steps done. */
  readonly step: number;
  readonly frames: number;
  readonly width: number;
  readonly height: number;
  /** `[frames, height, width, 4]`, RGBA. */
  readonly data: Uint8ClampedArray<ArrayBuffer>;
  /** `false`: the model's colours are not known before its first clip is decoded, so that these are arbitrary. */
  readonly trueColours: boolean;
}

export class LatentPreview {
  readonly framesFirst: boolean;
  #fitted: ColourMap | undefined;
  /** Sums over the cells of all clips so far. */
  #sums: { readonly normal: Float64Array[]; readonly right: Float64Array[] } | undefined;

  /**
   * @param framesFirst latents are `[1, T, C, h, w]` instead of `[1, C, T, h, w]`
   * @param colours where they are known
   */
  constructor(framesFirst: boolean, colours?: ColourMap) {
    this.framesFirst = framesFirst;
    this.#fitted = colours;
  }

  /** The map in use; undefined while colours are arbitrary. */
  get colours(): ColourMap | undefined {
    return this.#fitted;
  }

  /** Pictures of all latent frames. */
  picture(latents: HostTensor, step: number): Preview {
    const view = viewOf(latents, this.framesFirst);
    const map = this.#fitted ?? principalMap(view);
    const { frames, height, width, channels } = view;
    const data = new Uint8ClampedArray(frames * height * width * 4);
    for (let cell = 0; cell < frames * height * width; cell++) {
      for (let colour = 0; colour < 3; colour++) {
        const row = map[colour]!;
        let value = row[channels]!;
        for (let c = 0; c < channels; c++) value += row[c]! * view.at(cell, c);
        data[cell * 4 + colour] = 255 * value;
      }
      data[cell * 4 + 3] = 255;
    }
    return { step, frames, width, height, data, trueColours: this.#fitted !== undefined };
  }

  /**
   * Learns the colours of a finished clip, frame by frame, besides those of earlier ones: only those frames are used that
   * end a latent frame.
   */
  fitter(
    latents: HostTensor,
    numFrames: number,
  ): { frame(rgb: Uint8Array, index: number, width: number): void; fit(): void } {
    const view = viewOf(latents, this.framesFirst);
    const { frames, height, width, channels } = view;
    const size = channels + 1;
    this.#sums ??= {
      // A little on the diagonal keeps channels that say nothing at zero, and a clip of one colour solvable.
      normal: Array.from({ length: size }, (_, i) => {
        const row = new Float64Array(size);
        row[i] = 1e-3;
        return row;
      }),
      right: Array.from({ length: 3 }, () => new Float64Array(size)),
    };
    const { normal, right } = this.#sums;
    const step = frames > 1 ? (numFrames - 1) / (frames - 1) : 1;
    const stride = Math.max(1, Math.ceil((frames * height * width) / CELLS));
    return {
      frame: (rgb, index, pixelWidth) => {
        const t = index / step;
        if (!Number.isInteger(t) || t >= frames) return;
        const scale = Math.floor(pixelWidth / width);
        for (let cell = t % stride; cell < height * width; cell += stride) {
          const x = (cell % width) * scale;
          const y = Math.floor(cell / width) * scale;
          const row = Array.from({ length: size }, (_, c) =>
            c === channels ? 1 : view.at(t * height * width + cell, c),
          );
          const colour = meanColour(rgb, pixelWidth, x, y, scale);
          for (let i = 0; i < size; i++) {
            for (let j = 0; j < size; j++) normal[i]![j]! += row[i]! * row[j]!;
            for (let k = 0; k < 3; k++) right[k]![i]! += row[i]! * colour[k]!;
          }
        }
      },
      fit: () => {
        const map = right.map((values) => solve(normal, values));
        if (map.every((row) => row.every(Number.isFinite))) this.#fitted = map;
      },
    };
  }
}

interface LatentView {
  readonly channels: number;
  readonly frames: number;
  readonly height: number;
  readonly width: number;
  /** @param cell `(t * height + y) * width + x` */
  at(cell: number, channel: number): number;
}

function viewOf({ data, shape }: HostTensor, framesFirst: boolean): LatentView {
  const [, a = 1, b = 1, height = 1, width = 1] = shape;
  const [channels, frames] = framesFirst ? [b, a] : [a, b];
  const area = height * width;
  return {
    channels,
    frames,
    height,
    width,
    at: (cell, channel) => {
      const t = Math.floor(cell / area);
      const plane = framesFirst ? t * channels + channel : channel * frames + t;
      return data[plane * area + (cell - t * area)]!;
    },
  };
}

/** Directions of the largest differences, each stretched so that nearly all cells lie between black and white. */
function principalMap(view: LatentView): ColourMap {
  const { channels, frames, height, width } = view;
  const cells = frames * height * width;
  const stride = Math.max(1, Math.ceil(cells / CELLS));
  const samples: number[][] = [];
  for (let cell = 0; cell < cells; cell += stride) {
    samples.push(Array.from({ length: channels }, (_, c) => view.at(cell, c)));
  }
  const { mean, directions } = principalDirections(samples, 3);
  return directions.map(({ direction, deviation }) => {
    const scale = 1 / (5 * (deviation || 1));
    const row = direction.map((value) => value * scale);
    const constant = 0.5 - row.reduce((sum, value, c) => sum + value * mean[c]!, 0);
    return [...row, constant];
  });
}

function meanColour(
  rgb: Uint8Array,
  width: number,
  x: number,
  y: number,
  size: number,
): [number, number, number] {
  const sums: [number, number, number] = [0, 0, 0];
  for (let dy = 0; dy < size; dy++) {
    for (let dx = 0; dx < size; dx++) {
      const at = ((y + dy) * width + x + dx) * 3;
      for (let k = 0; k < 3; k++) sums[k]! += rgb[at + k]!;
    }
  }
  const scale = 1 / (size * size * 255);
  return [sums[0] * scale, sums[1] * scale, sums[2] * scale];
}
