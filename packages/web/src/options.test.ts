/** Options of pages: misspelt ones are refused before a worker starts, or a file is asked for. */
import { silentlyMisspelt } from "@lvsa/runtime/testing";
import { afterEach, expect, it, vi } from "vitest";
import { createGenerator } from "./generator.js";
import { storedModel } from "./store/stored-model.js";

/** Answers everything at once. */
class Answering extends EventTarget {
  postMessage({ id }: { readonly id: number }): void {
    const data = { id, result: { bytes: new Uint8Array(), format: "mp4" } };
    queueMicrotask(() => this.dispatchEvent(new MessageEvent("message", { data })));
  }
  terminate(): void {}
}
const createWorker = () => new Answering() as unknown as Worker;
const model = "https://example.org/m";
const clip =
  "prompt negativePrompt prompts seed fps maxSequenceLength promptEmbeds negativePromptEmbeds promptEmbeds2 " +
  "negativePromptEmbeds2 numFrames windowFrames windowOverlap height width numInferenceSteps guidanceScale " +
  "guidanceScale2 useDynamicGuidance flowShift scheduler sigmas preset stepCache boundaryStepIndex initialLatents " +
  "image lastImage imageEmbeds lvsa format quality loras memoryBudget";
afterEach(() => vi.unstubAllGlobals());

it("refuses misspelt options of a generator, a clip, its hooks and a stored model", async () => {
  vi.stubGlobal("fetch", () => {
    throw new Error("nothing is asked for");
  });
  const opening = "model memoryBudget onProgress onNote signal createWorker".split(" ");
  const right = { model, createWorker };
  expect(await silentlyMisspelt({ names: opening, call: createGenerator, right })).toEqual([]);
  const generator = await createGenerator(right);
  for (const call of [generator.plan, generator.generate]) {
    expect(await silentlyMisspelt({ names: clip.split(" "), call })).toEqual([]);
  }
  const hooks = "onProgress onPreview onNote onHeld signal keepAs resume".split(" ");
  const generate = (options: never) => generator.generate({ prompt: "a" }, options);
  expect(await silentlyMisspelt({ names: hooks, call: generate })).toEqual([]);
  const storing = "files signal fetch makeRoom onNote onProgress".split(" ");
  const store = (options: never) => storedModel(model, options);
  expect(await silentlyMisspelt({ names: storing, call: store })).toEqual([]);
});

it("takes right ones", async () => {
  const generator = await createGenerator({ model: new URL(model), createWorker, memoryBudget: 1e9 });
  const found = await generator.generate(
    { prompt: "a", numFrames: 5, seed: 1n, lvsa: true },
    { keepAs: "k" },
  );
  expect(found.format).toBe("mp4");
});
