import type { HostPipeline } from "@lvsa/core";
import { expect, it } from "vitest";
import { familyAdapters, installFamily } from "./families.js";

const clip = { numFrames: 9, height: 32, width: 48, latentFrames: 3, patchesPerFrame: 6 };
const options = { config: {}, log: () => undefined };

it("loads the adapter of every family that has one", async () => {
  const adapters = familyAdapters();
  expect(adapters.names).toEqual(["cogvideox", "hunyuan", "wan"]);
  for (const name of adapters.names) expect((await adapters.get(name)).family).toBe(name);
});

it("says which families there are for a pipeline of another one", async () => {
  const pipeline = { family: "ripple", transformers: [], geometry: {} } as unknown as HostPipeline;
  await expect(installFamily(pipeline, clip, options)).rejects.toMatchObject({
    code: "UNKNOWN_ADAPTER",
    message: expect.stringContaining("cogvideox, hunyuan, wan"),
  });
});
