import { fileURLToPath } from "node:url";
import { Engine } from "@lvsa/diffusion";
import { createDevice, nodeFolder } from "@lvsa/runtime/node";
import { nodeVideoBackends } from "@lvsa/video/node";
import { experimental_generateVideo as generateVideo } from "ai";
import { expect, it } from "vitest";
import { localVideoModel } from "./local-model.js";

const MODEL = fileURLToPath(new URL("../../../fixtures/tiny-wan", import.meta.url));

it("is an engine of this process behind the SDK's function", async () => {
  const device = await createDevice({
    adapter: process.env.LVSA_TEST_ADAPTER ?? "auto",
    softwareAdapter: () => import("@lvsa/software-adapter"),
  });
  using engine = await Engine.open(nodeFolder(MODEL), { device });
  const model = localVideoModel(engine, { backends: await nodeVideoBackends() });
  // 8 frames are not a length that the model makes; 9 are the nearest.
  const { video, warnings, providerMetadata } = await generateVideo({
    ...{ model, prompt: "A cat", resolution: "48x32", duration: 0.5, fps: 16, seed: 3 },
    providerOptions: { lvsa: { numInferenceSteps: 1, lvsa: true } },
  });
  expect(warnings[0]).toMatchObject({ type: "unsupported", feature: "providerOptions.lvsa.lvsa" });
  expect(providerMetadata.lvsa).toEqual({ videos: [{ seed: "3", frames: 9, fps: 16 }] });
  expect(new TextDecoder().decode(video.uint8Array.subarray(4, 8))).toBe("ftyp");
  device.dispose();
});
