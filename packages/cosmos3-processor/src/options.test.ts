import { silentlyMisspelt } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { Cosmos3LvsaProcessor } from "./cosmos3-lvsa-processor.js";
import { installCosmos3Lvsa } from "./install-cosmos3-lvsa.js";

const shared = "config strict log onFallback origin onPattern onCall onNotice onScheduledDense".split(" ");
const more = "numFrames height width referenceLatentFrames spatialFactor temporalFactor".split(" ");

it.each([
  ["installCosmos3Lvsa", [...shared, ...more], (o: never) => installCosmos3Lvsa({} as never, o)],
  ["Cosmos3LvsaProcessor", [...shared, "clip"], (o: never) => new Cosmos3LvsaProcessor(o)],
])("%s refuses misspelt options", async (_, names, call) => {
  expect(await silentlyMisspelt({ names, call })).toEqual([]);
});
