/** Options of comparisons: misspelt ones are refused before a clip is made. */
import { silentlyMisspelt } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { sampleScenes } from "../shapes/scenes.js";
import { compare } from "./compare.js";
import { renderComparison } from "./page.js";

const right = {
  prompts: ["a"],
  methods: [{ name: "m", label: "m" }],
  lengths: [{ factor: 1, numFrames: 5 }],
};
const none = { prompts: [], methods: [], lengths: [], isJudged: false, results: [] };

it.each([
  ["compare", "prompts methods lengths seed judge generate onResult signal".split(" "), compare, right],
  ["renderComparison", ["title", "facts", "clip"], (o: never) => renderComparison(none, o), {}],
  ["sampleScenes", ["heldOut"], (o: never) => sampleScenes(1, 1, o), {}],
])("%s refuses misspelt options", async (_, names, call, given) => {
  expect(await silentlyMisspelt({ names, call, right: given })).toEqual([]);
});

it("refuses what is of another kind", async () => {
  await expect(compare({ ...right, judge: "always" } as never)).rejects.toThrow(
    "judge: expected auto or none",
  );
});
