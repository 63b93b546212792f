/** The demo model's student shows what its prompts say, through our pipeline, for combinations that neither was trained on. */
import { fileURLToPath } from "node:url";
import { Engine } from "@lvsa/diffusion";
import { collectClip } from "@lvsa/quality";
import { analyseClip, captionOf, type Reading, sampleScenes } from "@lvsa/quality/shapes";
import type { Device } from "@lvsa/runtime";
import { fileSource, nodeFolder } from "@lvsa/runtime/node";
import { testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEMO_WAN, DEMO_WAN_FEW_STEPS } from "./index.js";

/** The first of the 32 that `lvsa compare --held-out 32` takes. */
const scenes = sampleScenes(6, 32, { heldOut: true });

describe("the demo model in four steps, on held-out captions", () => {
  let device: Device;
  let readings: Reading[];
  beforeAll(async () => {
    device = await testDevice();
    const { lora, preset } = DEMO_WAN_FEW_STEPS;
    const loras = [{ file: await fileSource(fileURLToPath(lora)) }];
    const folder = nodeFolder(fileURLToPath(DEMO_WAN));
    using engine = await Engine.open(folder, { device, loras, registered: false });
    readings = [];
    for (const [i, scene] of scenes.entries()) {
      const { frames, width, height } = await engine.generate({
        prompt: captionOf(scene, i),
        seed: i,
        preset,
      });
      readings.push(analyseClip(await collectClip(frames, width, height)));
    }
  });
  afterAll(() => device.dispose());

  const right = (is: (reading: Reading, i: number) => boolean) => readings.filter(is).length;

  // Of 128 held-out captions, the student has all backgrounds and colours, 89 % of the shapes and 94 % of the motions. Each
  // limit leaves room for one clip more than that to be wrong on another adapter; by chance one of six backgrounds, eight
  // colours, four shapes and eight motions would be right.
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
