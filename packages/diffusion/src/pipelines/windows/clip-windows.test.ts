/** Windows of a clip: where they lie, and that blending them is what a plain computation in float64 says. */
import { describe, expect, it } from "vitest";
import { addWindow, ClipWindows, windowCount, windowOf } from "./clip-windows.js";
import { planWindows } from "./window-options.js";

const layouts = [
  { frames: 21, windowFrames: 21, overlap: 5 },
  { frames: 22, windowFrames: 21, overlap: 5 },
  { frames: 41, windowFrames: 21, overlap: 1 },
  { frames: 41, windowFrames: 21, overlap: 0 },
  { frames: 121, windowFrames: 21, overlap: 5 },
  { frames: 17, windowFrames: 5, overlap: 4 },
  { frames: 40, windowFrames: 9, overlap: 6 },
  { frames: 2, windowFrames: 1, overlap: 0 },
];

describe.each(layouts)("$frames frames in windows of $windowFrames that share $overlap", (options) => {
  const { frames, windowFrames, overlap } = options;
  const { windows, weights } = new ClipWindows(options);

  it("covers the clip with whole windows in order, and no more than that takes", () => {
    expect(windows.length).toBe(windowCount(options));
    expect(windows[0]!.start).toBe(0);
    expect(windows.at(-1)!.start + windowFrames).toBe(frames);
    for (const [i, { start, frames: length, index }] of windows.entries()) {
      expect([index, length]).toEqual([i, windowFrames]);
      if (i === 0) continue;
      const shared = windows[i - 1]!.start + windowFrames - start;
      expect(shared).toBeGreaterThanOrEqual(overlap);
      if (i < windows.length - 1) expect(shared).toBe(overlap);
      expect(shared).toBeLessThan(windowFrames);
    }
  });

  it("has weights that add up to 1, rise and fall", () => {
    for (let frame = 0; frame < frames; frame++) {
      const at = windows.flatMap(({ start }, i) => weights[i]![frame - start] ?? []);
      // Sums of a few float64 numbers near 1.
      expect(at.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 14);
      for (const weight of at) expect(weight).toBeGreaterThan(0);
      if (at.length === 1) expect(at[0]).toBe(1);
    }
  });

  it.each([
    [1, 3],
    [2, 1],
  ])("blends along axis %i as a computation in float64 does", (axis, channels) => {
    const inner = 6;
    const shape = axis === 1 ? [1, frames, channels, inner] : [1, channels, frames, inner];
    const size = channels * frames * inner;
    const latents = { data: Float32Array.from({ length: size }, (_, i) => Math.sin(i) * 3), shape };
    const clip = { data: new Float32Array(size), shape };
    // What a window predicts depends on the window.
    const model = (x: number, window: number) => Math.fround(Math.cos(x * (window + 1)) - 2);
    for (const window of windows) {
      const part = windowOf(latents, axis, window);
      expect(part.shape[axis]).toBe(windowFrames);
      addWindow(
        clip,
        axis,
        window,
        weights[window.index]!,
        part.data.map((x) => model(x, window.index)),
      );
    }
    const stride = axis === 1 ? channels * inner : inner;
    for (let i = 0; i < size; i++) {
      const frame = Math.floor(i / stride) % frames;
      let [above, below] = [0, 0];
      for (let w = 0; w < windows.length; w++) {
        const start = Math.min(w * (windowFrames - overlap), frames - windowFrames);
        const at = frame - start;
        if (at < 0 || at >= windowFrames) continue;
        const up = w === 0 ? 1 : (at + 1) / (overlap + 1);
        const down = w === windows.length - 1 ? 1 : (windowFrames - at) / (overlap + 1);
        const weight = Math.min(1, up, down);
        above += weight * model(latents.data[i]!, w);
        below += weight;
      }
      // One rounding to float32 for each window that a frame is in, of numbers up to 3.
      expect(Math.abs(clip.data[i]! - above / below)).toBeLessThan(5 * 3 * 2 ** -24);
    }
  });
});

it("blends linearly: two windows that share three frames meet at 1/4, 1/2, 3/4", () => {
  const { weights } = new ClipWindows({ frames: 7, windowFrames: 5, overlap: 3 });
  expect(weights[0]).toEqual([1, 1, 0.75, 0.5, 0.25]);
  expect(weights[1]).toEqual([0.25, 0.5, 0.75, 1, 1]);
});

describe("options", () => {
  const geometry = { latentFrames: 41, windowLatentFrames: 21, temporalFactor: 4 };
  const segments = (...froms: number[]) => froms.map((fromFrame) => ({ fromFrame, prompt: `p${fromFrame}` }));

  it("has a quarter of a window as overlap, and at least a frame where there is one", () => {
    expect(planWindows({ windowFrames: 81 }, geometry).windowOverlap).toBe(20);
    const small = { latentFrames: 9, windowLatentFrames: 2, temporalFactor: 4 };
    expect(planWindows({ windowFrames: 5 }, small).windowOverlap).toBe(4);
    expect(planWindows({ windowFrames: 1 }, { ...small, windowLatentFrames: 1 }).windowOverlap).toBe(0);
  });

  it("gives a window the prompt in whose segment its middle lies", () => {
    // Windows of latent frames 0 to 20, 16 to 36 and 20 to 40: their middles are frames 40, 104 and 120.
    const of = (...froms: number[]) =>
      planWindows({ windowFrames: 81, prompts: segments(...froms) }, geometry).prompts;
    expect(of(0, 104)).toEqual(["p0", "p104", "p104"]);
    expect(of(0, 105)).toEqual(["p0", "p0", "p105"]);
    expect(of(0, 41, 110)).toEqual(["p0", "p41", "p110"]);
  });

  it.each([
    [{ windowFrames: 81, windowOverlap: 6 }, /windowOverlap is 6.*4 video frames/],
    [{ windowFrames: 81, windowOverlap: 84 }, /nothing new/],
    [{ windowFrames: 81, stepCache: "easycache" }, /stepCache/],
    [{ windowFrames: 81, image: { data: new Uint8Array(3), width: 1, height: 1 } }, /image is of one window/],
    [{ windowFrames: 81, prompts: segments(0, 41, 60) }, /segment from frame 41/],
    [{ windowFrames: 81, prompts: segments(0, 150) }, /segment from frame 150/],
  ])("refuses %o", (given, message) => {
    expect(() => planWindows(given, geometry)).toThrow(
      expect.objectContaining({ code: "BAD_OPTION", message: expect.stringMatching(message) }),
    );
  });

  it("takes an image and a step cache where there is one window", () => {
    const one = { ...geometry, latentFrames: 21 };
    const { layout } = planWindows({ windowFrames: 81, stepCache: "easycache" }, one);
    expect(layout.windows).toHaveLength(1);
  });
});
