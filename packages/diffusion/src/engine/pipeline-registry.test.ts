import { describe, expect, it } from "vitest";
import type { PipelineLoader } from "../pipelines/video-pipeline.js";
import { knownPipelines, pipelineLoader, registerPipeline } from "./pipeline-registry.js";

const mine = (async () => ({})) as unknown as PipelineLoader;

describe("registerPipeline", () => {
  it("makes a class known until it is taken back", async () => {
    expect(() => pipelineLoader("MyPipeline")).toThrow(
      expect.objectContaining({ code: "UNKNOWN_PIPELINE", fix: expect.stringContaining("registerPipeline") }),
    );
    const first = registerPipeline("MyPipeline", async () => mine);
    expect(knownPipelines()).toContain("MyPipeline");
    expect(await pipelineLoader("MyPipeline")).toBe(mine);
    // A module that is loaded twice registers twice; the older registration takes nothing away from the newer.
    const second = registerPipeline("MyPipeline", async () => mine);
    first[Symbol.dispose]();
    expect(await pipelineLoader("MyPipeline")).toBe(mine);
    second[Symbol.dispose]();
    expect(knownPipelines()).not.toContain("MyPipeline");
  });

  it("leaves the classes of this package alone", () => {
    expect(() => registerPipeline("WanPipeline", async () => mine)).toThrow(
      expect.objectContaining({ code: "PIPELINE_EXISTS" }),
    );
  });
});
