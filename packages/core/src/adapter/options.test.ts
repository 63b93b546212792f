/** Options of LVSA: misspelt ones are refused before a layer is taken. */
import { silentlyMisspelt } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { applyRiflex, riflexFrequencies } from "../riflex.js";
import { installLvsa } from "./install-lvsa.js";
import { LvsaAttentionProcessor } from "./lvsa-attention-processor.js";

const install =
  "config clip engages origin owner onPattern onCall onNotice onScheduledDense log onFallback strict".split(
    " ",
  );
const adapter = { defaults: {}, referenceLatentFrames: () => 21 } as never;
const host = { transformers: [], geometry: { temporalFactor: 4 } } as never;
const riflex = "temporalDim scale trainingLength theta".split(" ");

it.each([
  ["installLvsa", install, (o: never) => installLvsa(host, adapter, o)],
  ["its clip", ["latentFrames", "patchesPerFrame"], (clip: never) => installLvsa(host, adapter, { clip })],
  [
    "LvsaAttentionProcessor",
    [...install, "referenceLatentFrames", "temporalFactor"],
    (o: never) => new LvsaAttentionProcessor(adapter, o),
  ],
  ["applyRiflex", riflex, (o: never) => applyRiflex(undefined, o)],
  ["riflexFrequencies", riflex, (o: never) => riflexFrequencies(o)],
])("%s refuses misspelt options", async (_, names, call) => {
  expect(await silentlyMisspelt({ names, call })).toEqual([]);
});

it("refuses what is of another kind", () => {
  expect(() => installLvsa(host, adapter, { strict: "yes" } as never)).toThrow(
    "strict: expected true or false",
  );
});
