/** A model's facts stand once: a change in its definition is seen by plan, pipeline and adapter. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Engine } from "@lvsa/diffusion";
import {
  describeCheckpoint,
  findVideoModel,
  inspectCheckpoint,
  planGeneration,
} from "@lvsa/diffusion/catalog";
import { nodeFolder } from "@lvsa/runtime/node";
import { referenceCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createWanAdapter } from "./wan-adapter.js";

const { video } = findVideoModel("WanTransformer3DModel")!;
/** Training lengths in latent frames, and frames per second. */
const PUBLISHED: Readonly<Record<string, readonly [number, number]>> = {
  "wan21-t2v": [21, 16],
  "wan22-ti2v-5b": [31, 24],
};

// The repository's own data hold one whole checkpoint of these.
const cases = referenceCases("wan").filter(
  ({ name, directory }) => name in PUBLISHED && existsSync(join(directory, "checkpoint/model_index.json")),
);

it("there are cases", () => requireCases(cases));

describe.each(cases)("$name", ({ name, directory }) => {
  const folder = nodeFolder(join(directory, "checkpoint"));
  afterEach(() => void vi.restoreAllMocks());

  /** The same two facts, as each of their readers has them. */
  async function facts() {
    const model = describeCheckpoint(await inspectCheckpoint(folder));
    const plan = planGeneration({ model });
    const device = await testDevice();
    using engine = await Engine.open(folder, { device, registered: false });
    const { defaults, geometry } = engine.pipeline;
    return {
      plan: [plan.geometry.referenceTokenFrames, plan.model.defaults.fps],
      pipeline: [geometry.referenceLatentFrames, defaults.fps],
      adapter: createWanAdapter().referenceLatentFrames(geometry),
    };
  }

  it("has the published training length and frame rate everywhere", async () => {
    const [frames, fps] = PUBLISHED[name]!;
    expect(await facts()).toEqual({ plan: [frames, fps], pipeline: [frames, fps], adapter: frames });
  });

  it("changes everywhere when its definition changes", async () => {
    const { geometry, defaults } = video;
    vi.spyOn(video, "geometry").mockImplementation((configs) => ({
      ...{ ...geometry(configs), referenceTokenFrames: 17 },
    }));
    vi.spyOn(video, "defaults").mockImplementation((configs) => ({ ...defaults(configs), fps: 12 }));
    expect(await facts()).toEqual({ plan: [17, 12], pipeline: [17, 12], adapter: 17 });
  });
});
