/** A preview's frames as one picture of a given size. */
import type { Preview } from "@lvsa/diffusion";

export interface Picture {
  /** `[height, width, 3]` */
  readonly rgb: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** The first frame, the last, and those between at even distances, beside each other. */
export function strip(preview: Preview, most: number): Picture {
  const { frames, width, height, data } = preview;
  const shown = Math.min(most, frames);
  const rgb = new Uint8Array(shown * width * height * 3);
  for (let i = 0; i < shown; i++) {
    const frame = shown === 1 ? 0 : Math.round((i * (frames - 1)) / (shown - 1));
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const from = ((frame * height + y) * width + x) * 4;
        rgb.set(data.subarray(from, from + 3), ((y * shown + i) * width + x) * 3);
      }
    }
  }
  return { rgb, width: shown * width, height };
}

/** One frame. */
export function frameOf({ width, height, data }: Preview, frame: number): Picture {
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    const from = (frame * width * height + i) * 4;
    rgb.set(data.subarray(from, from + 3), i * 3);
  }
  return { rgb, width, height };
}

/** Another size: the mean of the pixels that a new one covers, or the nearest one where it is smaller than they are. */
export function scaled({ rgb, width, height }: Picture, toWidth: number, toHeight: number): Picture {
  const out = new Uint8Array(toWidth * toHeight * 3);
  const span = (at: number, from: number, to: number): [number, number] => {
    const start = Math.floor((at * from) / to);
    return [start, Math.max(start + 1, Math.floor(((at + 1) * from) / to))];
  };
  for (let y = 0; y < toHeight; y++) {
    const [top, bottom] = span(y, height, toHeight);
    for (let x = 0; x < toWidth; x++) {
      const [left, right] = span(x, width, toWidth);
      for (let k = 0; k < 3; k++) {
        let sum = 0;
        for (let v = top; v < bottom; v++) {
          for (let u = left; u < right; u++) sum += rgb[(v * width + u) * 3 + k]!;
        }
        out[(y * toWidth + x) * 3 + k] = Math.round(sum / ((bottom - top) * (right - left)));
      }
    }
  }
  return { rgb: out, width: toWidth, height: toHeight };
}
