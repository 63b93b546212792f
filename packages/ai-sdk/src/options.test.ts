/** Options of the provider: misspelt ones are refused before a server or an engine hears of the video. */
import { silentlyMisspelt } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { localVideoModel } from "./local-model.js";
import { lvsaVideoOptionsSchema, planCall } from "./options.js";
import { createLvsa } from "./remote.js";

const call = (lvsa: unknown) => planCall({ prompt: "a cat", n: 1, providerOptions: { lvsa } } as never);

it.each([
  ["createLvsa", "baseURL apiKey headers fetch pollMs".split(" "), (o: never) => createLvsa(o)],
  ["localVideoModel", ["modelId", "backends"], (o: never) => localVideoModel({} as never, o)],
  ["providerOptions.lvsa", Object.keys(lvsaVideoOptionsSchema.shape), call],
])("%s refuses misspelt options", async (_, names, call) => {
  expect(await silentlyMisspelt({ names, call })).toEqual([]);
});

it("takes right ones, and refuses values that are none", () => {
  expect(call({ numFrames: 5, lvsa: true }).options).toEqual({ numFrames: 5, lvsa: true });
  expect(() => call({ numFrames: 0 })).toThrow("numFrames");
  expect(() => call([])).toThrow("expected an object");
});
