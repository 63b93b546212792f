import { expect, it } from "vitest";
import { LatentPreview } from "./latent-preview.js";
import { principalDirections, solve } from "./linear-algebra.js";

const [frames, height, width, channels] = [3, 4, 4, 5];

/** Latents whose first three channels are the colours, less a half; the others are noise. */
function colourfulLatents(framesFirst: boolean) {
  const shape = framesFirst ? [1, frames, channels, height, width] : [1, channels, frames, height, width];
  const data = new Float32Array(frames * channels * height * width);
  const colour = (t: number, cell: number, c: number) => ((t * 31 + cell * (c + 3) * 7) % 11) / 10;
  for (let t = 0; t < frames; t++) {
    for (let c = 0; c < channels; c++) {
      for (let cell = 0; cell < height * width; cell++) {
        const plane = framesFirst ? t * channels + c : c * frames + t;
        data[plane * height * width + cell] = colour(t, cell, c) - 0.5;
      }
    }
  }
  return { latents: { data, shape }, colour };
}

it.each([true, false])(
  "shows a clip's true colours after it was decoded (frames first: %s)",
  (framesFirst) => {
    const { latents, colour } = colourfulLatents(framesFirst);
    const preview = new LatentPreview(framesFirst);
    expect(preview.picture(latents, 1)).toMatchObject({ frames, width, height, trueColours: false });
    // Nine frames of two pixels per cell: every fourth one ends a latent frame.
    const numFrames = 9;
    const fitter = preview.fitter(latents, numFrames);
    for (let index = 0; index < numFrames; index++) {
      const rgb = new Uint8Array(height * 2 * width * 2 * 3);
      for (let y = 0; y < height * 2; y++) {
        for (let x = 0; x < width * 2; x++) {
          const cell = (y >> 1) * width + (x >> 1);
          for (let k = 0; k < 3; k++) {
            rgb[(y * width * 2 + x) * 3 + k] = Math.round(255 * colour(Math.round(index / 4), cell, k));
          }
        }
      }
      fitter.frame(rgb, index, width * 2);
    }
    fitter.fit();
    const { data, trueColours } = preview.picture(latents, 2);
    expect(trueColours).toBe(true);
    let worst = 0;
    for (let t = 0; t < frames; t++) {
      for (let cell = 0; cell < height * width; cell++) {
        for (let k = 0; k < 3; k++) {
          const seen = data[(t * height * width + cell) * 4 + k]!;
          worst = Math.max(worst, Math.abs(seen - 255 * colour(t, cell, k)));
        }
      }
    }
    // Rounded to bytes twice.
    expect(worst).toBeLessThanOrEqual(2);
  },
);

it("solves systems, also where rows must be exchanged", () => {
  const x = solve([Float64Array.of(0, 2), Float64Array.of(4, 1)], Float64Array.of(6, 11));
  expect(x[0]).toBeCloseTo(2, 12);
  expect(x[1]).toBeCloseTo(3, 12);
});

it("finds the direction in which points differ most", () => {
  const points = Array.from({ length: 50 }, (_, i) => [3 * (i - 25), 4 * (i - 25) + 1, 0.1 * (i % 2)]);
  const { directions, mean } = principalDirections(points, 2);
  const [first] = directions;
  expect(first!.direction[0]).toBeCloseTo(0.6, 3);
  expect(first!.direction[1]).toBeCloseTo(0.8, 3);
  expect(mean[1]).toBeCloseTo(-1, 6);
});
