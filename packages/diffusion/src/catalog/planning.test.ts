/** Frames and sizes that fit, settings that count, memory by items, and what to change when there is too little. */
import { describe, expect, it } from "vitest";
import {
  checkVideoSize,
  nearestFrameCounts,
  nearestSizes,
  videoGrid,
} from "../models/definition/video-grid.js";
import { getModelClass } from "../models/model-classes.js";
import { closestSize } from "../models/transformers/hunyuan-video15-size.js";
import { getKnownModel, knownModels } from "./known-models.js";
import type { ModelDescription } from "./model-description.js";
import { modelShape } from "./model-shape.js";
import { type AttendedFramesPattern, planGeneration } from "./plan-generation.js";

const wan = getKnownModel("wan2.1-t2v-1.3b");
const geometryOf = (name: string) => modelShape(getKnownModel(name)).geometry;

describe("known models", () => {
  it("lists the known names for an unknown one", () => {
    expect(() => getKnownModel("wan3")).toThrow(expect.objectContaining({ code: "UNKNOWN_MODEL" }));
    const error = (() => {
      try {
        return getKnownModel("wan3");
      } catch (thrown) {
        return thrown as { fix?: string };
      }
    })() as { fix?: string };
    for (const { name } of knownModels()) expect(error.fix).toContain(name);
    expect(() => getModelClass("Nope")).toThrow(/unknown model class Nope; known are .*AutoencoderKLWan/);
  });

  it("names are unique", () => {
    const names = knownModels().flatMap(({ name, repository }) => [name, repository]);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe("video grid", () => {
  it("says which frame counts and sizes are nearest", () => {
    const geometry = geometryOf("wan2.1-t2v-1.3b");
    expect([80, 81, 82, 1, 0, -3, 4.5, Number.NaN].map((n) => nearestFrameCounts(n, geometry))).toEqual([
      [77, 81],
      [81],
      [81, 85],
      [1],
      [1],
      [1],
      [1, 5],
      [1],
    ]);
    expect([480, 481, 15, 0].map((n) => nearestSizes(n, geometry))).toEqual([[480], [480, 496], [16], [16]]);
    expect(nearestSizes(720, geometryOf("wan2.2-ti2v-5b"))).toEqual([704, 736]);
    // Cosmos fills up patches: 45 latent rows are fine.
    expect(nearestSizes(720, geometryOf("cosmos3-nano"))).toEqual([720]);
  });

  it("refuses others with the numbers that fit", () => {
    const geometry = geometryOf("wan2.1-t2v-1.3b");
    const size = { numFrames: 81, height: 480, width: 832 };
    expect(() => checkVideoSize(size, geometry)).not.toThrow();
    expect(() => checkVideoSize({ ...size, numFrames: 80 }, geometry)).toThrow(
      expect.objectContaining({ code: "BAD_FRAME_COUNT", fix: "Use 77 or 81 frames." }),
    );
    expect(() => checkVideoSize({ ...size, height: 470, width: 830 }, geometry)).toThrow(
      expect.objectContaining({ code: "BAD_SIZE", fix: "Use height 464 or 480, width 816 or 832." }),
    );
    expect(() => planGeneration({ model: wan, numFrames: Number.NaN })).toThrow(
      expect.objectContaining({ code: "BAD_FRAME_COUNT" }),
    );
  });

  it("fills up the last token frame of CogVideoX 1.5", () => {
    const geometry = geometryOf("cogvideox-1.5-5b");
    const frames = [81, 85].map((numFrames) => videoGrid({ numFrames, height: 768, width: 1360 }, geometry));
    expect(frames.map((grid) => [grid.latentFrames, grid.latentFramesPadded, grid.tokenFrames])).toEqual([
      [21, 22, 11],
      [22, 22, 11],
    ]);
  });
});

describe("HunyuanVideo sizes", () => {
  it("picks by aspect ratio, as the pipeline does", () => {
    // Values of diffusers' calculate_default_height_width.
    const of = (height: number, width: number, target = 640) => closestSize({ height, width }, target, 16);
    expect(of(9, 16)).toEqual({ height: 480, width: 848 });
    expect(of(9, 16, 960)).toEqual({ height: 720, width: 1280 });
    expect(of(16, 9)).toEqual({ height: 848, width: 480 });
    expect(of(1, 1)).toEqual({ height: 640, width: 640 });
    expect(of(1, 4)).toEqual({ height: 320, width: 1280 });
    expect(of(3, 4)).toEqual({ height: 544, width: 720 });
    expect(of(21, 9, 960)).toEqual({ height: 1456, width: 624 });
    expect(of(2, 3, 960)).toEqual({ height: 784, width: 1168 });
  });
});

describe("positions that end", () => {
  const withTransformer = (model: ModelDescription, change: object): ModelDescription => {
    const transformer = model.components.transformer!;
    const config = { ...transformer.config, ...change };
    return { ...model, components: { ...model.components, transformer: { ...transformer, config } } };
  };

  it("refuse a clip of Wan beyond the rows of its rotary tables, and not in windows", () => {
    const short = withTransformer(wan, { rope_max_seq_len: 60 });
    expect(planGeneration({ model: short, numFrames: 237 }).grid.tokenFrames).toBe(60);
    expect(() => planGeneration({ model: short, numFrames: 241 })).toThrow(
      expect.objectContaining({
        code: "BAD_FRAME_COUNT",
        message: expect.stringMatching(/61 token frames.*positions for 60/),
        fix: expect.stringContaining("--window-frames"),
      }),
    );
    expect(planGeneration({ model: short, numFrames: 241, windowFrames: 81 }).windows).toBeDefined();
    const narrow = withTransformer(wan, { rope_max_seq_len: 50 });
    expect(() => planGeneration({ model: narrow })).toThrow(
      expect.objectContaining({
        code: "BAD_SIZE",
        message: expect.stringMatching(/52x30.*positions for 50/),
      }),
    );
  });

  it("refuse a frame of CogVideoX 1.5 beyond its grid, as a generation does", () => {
    const model = getKnownModel("cogvideox-1.5-5b");
    const small = withTransformer(model, { sample_height: 40 });
    expect(() => planGeneration({ model: small })).toThrow(
      expect.objectContaining({ code: "BAD_SIZE", message: expect.stringContaining("positions for 20") }),
    );
  });
});

describe("plan", () => {
  const rotating: AttendedFramesPattern = {
    offsets: 3,
    attendedFrames: (offset) => Array.from({ length: 21 }, () => 10 + offset),
  };

  it("is dense without a pattern", () => {
    const plan = planGeneration({ model: wan });
    expect(plan.attended.density).toBe(1);
    expect(plan.flops.totalPerForward.lvsa).toBe(plan.flops.totalPerForward.dense);
    expect(plan.totalFlops.dense).toBe(plan.flops.totalPerForward.dense * 100n);
  });

  it("sums each step with the pattern of that step", () => {
    const plan = planGeneration({ model: wan, lvsa: () => rotating, numInferenceSteps: 4 });
    const single = [0, 1, 2].map((offset) => {
      const attended = rotating.attendedFrames(offset);
      return planGeneration({ model: wan, lvsa: () => ({ offsets: 1, attendedFrames: () => attended }) });
    });
    const [a, b, c] = single.map((one) => one.flops.totalPerForward.lvsa) as [bigint, bigint, bigint];
    // Steps 0 to 3 have offsets 0, 1, 2, 0; guidance runs two passes.
    expect(plan.totalFlops.lvsa).toBe(2n * (a + b + c + a));
    expect(plan.attended.overOffsets).toEqual({
      offsets: 3,
      min: 10 / 21,
      max: 12 / 21,
      mean: expect.closeTo(11 / 21, 12),
    });
  });

  it("needs half the work without guidance", () => {
    const guided = planGeneration({ model: wan });
    const plain = planGeneration({ model: wan, guidanceScale: 1 });
    expect(guided.totalFlops.dense).toBe(2n * plain.totalFlops.dense);
    const cog = getKnownModel("cogvideox-2b");
    expect(planGeneration({ model: cog })).toMatchObject({ forwardsPerStep: 2 });
    expect(planGeneration({ model: cog, guidanceScale: 1 })).toMatchObject({ forwardsPerStep: 1 });
  });

  it("takes the tokens of a prompt that is not padded", () => {
    const model = getKnownModel("cosmos3-nano");
    const short = planGeneration({ model, tokens: { text: 100 } });
    expect(short.flops.linearByRows.text?.rows).toBe(100);
    expect(short.flops.totalPerForward.dense).toBeLessThan(
      planGeneration({ model }).flops.totalPerForward.dense,
    );
  });

  it("refuses steps that are none", () => {
    expect(() => planGeneration({ model: wan, numInferenceSteps: 0 })).toThrow(/0 steps/);
  });
});
