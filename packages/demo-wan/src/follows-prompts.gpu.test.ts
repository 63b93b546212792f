/** The demo model shows what its prompts say, through our pipeline, for combinations that it was never trained on. */
import { fileURLToPath } from "node:url";
import { Engine } from "@lvsa/diffusion";
import { collectClip } from "@lvsa/quality";
import { analyseClip, captionOf, type Reading, sampleScenes } from "@lvsa/quality/shapes";
import type { Device } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEMO_WAN } from "./index.js";

/** The first of the 32 that `lvsa compare --held-out 32` takes. */
const scenes = sampleScenes(6, 32, { heldOut: true });

describe("the demo model, on held-out captions", () => {
  let device: Device;
  let readings: Reading[];
  beforeAll(async () => {
    device = await testDevice();
    using engine = await Engine.open(nodeFolder(fileURLToPath(DEMO_WAN)), { device, registered: false });
    readings = [];
    for (const [i, scene] of scenes.entries()) {
      // Twelve steps score as twenty do (docs/demo-model), in less time.
      const options = { prompt: captionOf(scene, i), seed: i, numInferenceSteps: 12 };
      const { frames, width, height } = await engine.generate(options);
      readings.push(analyseClip(await collectClip(frames, width, height)));
    }
  });
  afterAll(() => device.dispose());

  const right = (is: (reading: Reading, i: number) => boolean) => readings.filter(is).length;

  // Of 32 held-out captions, the model has all backgrounds, all but one or so of the colours and shapes, nine tenths of the
  // motions. Each limit leaves room for one clip more than that to be wrong on another adapter; by chance one of six
  // backgrounds, eight colours, four shapes and eight motions would be right.
  it("draws the background", () => {
    expect(right(({ background }, i) => background === scenes[i]!.background.name)).toBe(6);
  });
  it("draws the colour", () => {
    expect(right(({ color }, i) => color === scenes[i]!.objects[0]!.color)).toBeGreaterThanOrEqual(5);
  });
  it("draws the shape", () => {
    expect(right(({ shape }, i) => shape === scenes[i]!.objects[0]!.shape)).toBeGreaterThanOrEqual(5);
  });
  it("moves it", () => {
    expect(right(({ motion }, i) => motion === scenes[i]!.objects[0]!.motion)).toBeGreaterThanOrEqual(4);
  });
  it("draws one object with an edge, not specks", () => {
    // Drawn scenes have an error of about .04, scattered specks more than .3.
    expect(
      right(({ shapeError, otherColors }) => shapeError < 0.15 && otherColors.length === 0),
    ).toBeGreaterThanOrEqual(5);
  });
});
