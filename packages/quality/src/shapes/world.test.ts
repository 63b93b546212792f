/** The renderer that the demo model was trained on, frame by frame; and the analyser on drawn clips. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { clipOf } from "../clip.js";
import { randomSource } from "../statistics.js";
import { analyseClip } from "./analyse.js";
import { captionOf, readCaption } from "./captions.js";
import { isHeldOut, sampleScenes } from "./scenes.js";
import { drawClip, drawFrame, type Scene, WORLD_SIZE } from "./world.js";

const folder = new URL("../../../../fixtures/demo-world/", import.meta.url);
const items = JSON.parse(readFileSync(fileURLToPath(new URL("scenes.json", folder)), "utf8")) as {
  frame: number;
  caption: string;
  spec: Scene;
}[];
const bytes = readFileSync(fileURLToPath(new URL("frames.rgb", folder)));
const FRAME = WORLD_SIZE * WORLD_SIZE * 3;

describe("the training's renderer", () => {
  it("has 20 golden frames", () => {
    expect(items).toHaveLength(20);
    expect(bytes.length).toBe(20 * FRAME);
  });

  it.each(items.map((item, i) => [item.caption, i] as const))("draws the same: %s", (_, i) => {
    const { spec, frame } = items[i]!;
    const drawn = drawFrame(spec, frame);
    const golden = bytes.subarray(i * FRAME, (i + 1) * FRAME);
    const worst = Math.max(...drawn.map((value, at) => Math.abs(value - golden[at]!)));
    // One step of rounding: both draw in double precision.
    expect(worst).toBeLessThanOrEqual(1);
  });
});

describe("captions", () => {
  it("of the training are read as their scenes", () => {
    for (const { caption, spec } of items) {
      const wanted = readCaption(caption);
      if (spec.objects.length > 1) {
        expect(wanted, caption).toBeUndefined();
        continue;
      }
      const { color, shape, motion } = spec.objects[0]!;
      expect(wanted, caption).toEqual({ color, shape, motion, background: spec.background.name });
    }
  });

  it("of our own, too, for 500 scenes", () => {
    sampleScenes(500, 1).forEach((scene, i) => {
      const { color, shape, motion } = scene.objects[0]!;
      const text = captionOf(scene, i);
      expect(readCaption(text), text).toEqual({ color, shape, motion, background: scene.background.name });
    });
  });

  it("say nothing of other worlds", () => {
    expect(readCaption("A cat walks in the garden.")).toBeUndefined();
    expect(readCaption("A red circle")).toEqual({ color: "red", shape: "circle" });
  });
});

it("held-out scenes are one combination in eleven", () => {
  expect(sampleScenes(40, 2, { heldOut: true }).every(isHeldOut)).toBe(true);
  const share = sampleScenes(4000, 3).filter(isHeldOut).length / 4000;
  // Four standard deviations of a binomial share.
  expect(Math.abs(share - 1 / 11)).toBeLessThan(4 * Math.sqrt(((1 / 11) * (10 / 11)) / 4000));
});

/** Right answers of the analyser for drawn clips, whose pixels `spoil` changes. */
function accuracy(scenes: readonly Scene[], spoil: (frame: Uint8Array) => Uint8Array, count: number) {
  const right = { background: 0, color: 0, shape: 0, motion: 0, alone: 0 };
  for (const scene of scenes) {
    const reading = analyseClip(clipOf(drawClip(scene, count).map(spoil), WORLD_SIZE, WORLD_SIZE));
    const { color, shape, motion } = scene.objects[0]!;
    if (reading.background === scene.background.name) right.background++;
    if (reading.color === color) right.color++;
    if (reading.shape === shape) right.shape++;
    if (reading.motion === motion) right.motion++;
    if (reading.otherColors.length === 0) right.alone++;
  }
  const share = (hits: number) => hits / scenes.length;
  return {
    background: share(right.background),
    color: share(right.color),
    shape: share(right.shape),
    motion: share(right.motion),
    alone: share(right.alone),
  };
}

/** A decoder's faults, roughly: noise of standard deviation .06 (uniform). */
function noisy(seed: number) {
  const random = randomSource(seed);
  const width = 0.06 * 255 * Math.sqrt(12);
  return (frame: Uint8Array) =>
    Uint8Array.from(Uint8ClampedArray.from(frame, (value) => value + width * (random() - 0.5)));
}

/** The mean of 3x3 pixels. */
function blurred(frame: Uint8Array): Uint8Array {
  return frame.map((_, at) => {
    const [channel, index] = [at % 3, Math.floor(at / 3)];
    const [row, column] = [Math.floor(index / WORLD_SIZE), index % WORLD_SIZE];
    let total = 0;
    for (let dy = -1; dy <= 1; dy++) {
      for (let dx = -1; dx <= 1; dx++) {
        const y = (row + dy + WORLD_SIZE) % WORLD_SIZE;
        const x = (column + dx + WORLD_SIZE) % WORLD_SIZE;
        total += frame[(y * WORLD_SIZE + x) * 3 + channel]!;
      }
    }
    return Math.round(total / 9);
  });
}

describe("the analyser", () => {
  // A wrong analyser is the first suspect where a model scores badly.
  it.each([
    ["as they are", 100, (frame: Uint8Array) => frame],
    ["with noise", 40, noisy(5)],
    ["blurred", 30, blurred],
  ] as const)("reads drawn clips of the training length %s", (_, count, spoil) => {
    const found = accuracy(sampleScenes(count, 4), spoil, 17);
    expect(found.background).toBeGreaterThanOrEqual(0.99);
    expect(found.color).toBeGreaterThanOrEqual(0.99);
    expect(found.motion).toBeGreaterThanOrEqual(0.99);
    expect(found.shape).toBeGreaterThanOrEqual(0.97);
    expect(found.alone).toBeGreaterThanOrEqual(0.99);
  });

  it("does not see what is not there", () => {
    const grey = new Uint8Array(FRAME).fill(128);
    const empty = analyseClip(clipOf([grey, grey, grey, grey], WORLD_SIZE, WORLD_SIZE));
    expect(empty).toMatchObject({ background: "gray", color: "none", shape: "none", motion: "unclear" });
    const random = randomSource(9);
    const noise = Array.from({ length: 17 }, () => new Uint8Array(FRAME).map(() => 256 * random()));
    expect(analyseClip(clipOf(noise, WORLD_SIZE, WORLD_SIZE)).motion).toMatch(/unclear|still/);
  });

  it("sees a second object, and a frozen one", () => {
    const two = items.find(({ spec }) => spec.objects.length > 1)!;
    const reading = analyseClip(clipOf(drawClip(two.spec, 17), WORLD_SIZE, WORLD_SIZE));
    expect([reading.color, ...reading.otherColors].sort()).toEqual(
      two.spec.objects.map(({ color }) => color).sort(),
    );
    const moving = sampleScenes(50, 6).find(({ objects }) => objects[0]!.motion === "left")!;
    const frame = drawFrame(moving, 3);
    expect(analyseClip(clipOf(Array(17).fill(frame), WORLD_SIZE, WORLD_SIZE)).motion).toBe("still");
  });
});
