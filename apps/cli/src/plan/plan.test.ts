/** Plans as text, JSON, PNG and HTML. */
import { AttentionPattern, MASK_COLOURS, maskPicture, maskRow, maskSvg } from "@lvsa/core";
import { getKnownModel } from "@lvsa/diffusion/catalog";
import { decodePng, encodePng } from "@lvsa/video";
import { describe, expect, it } from "vitest";
import { fittingText } from "./fitting-text.js";
import { planModel } from "./plan.js";
import { planMemory } from "./planned-memory.js";
import { renderPlanHtml } from "./render-html.js";
import { planToJson, renderPlanText } from "./render-plan.js";
import { resolveModel } from "./resolve-model.js";

const model = getKnownModel("wan2.1-t2v-1.3b");
const pattern = AttentionPattern.build({
  frames: 6,
  patchesPerFrame: 4,
  window: 1,
  nFirstFrames: 1,
  keyframeInterval: 4,
  expandWindow: false,
});

describe("planModel", () => {
  it("rotates by default, keeps a given interval, and is dense when told so", () => {
    const automatic = planModel({ model, numFrames: 165 });
    expect(automatic.lvsa).toMatchObject({
      offsets: 3,
      config: { keyframeInterval: 3, rotateKeyframes: true },
    });
    expect(automatic.lvsa!.patternOfStep(4).rotationOffset).toBe(1);
    const manual = planModel({ model, numFrames: 165, lvsa: { keyFrameInterval: 16 } });
    expect(manual.lvsa).toMatchObject({ offsets: 1, config: { keyframeInterval: 4 } });
    const dense = planModel({ model, numFrames: 165, lvsa: false });
    expect(dense.lvsa).toBeUndefined();
    expect(dense.plan.lvsaOverDense).toEqual({ attention: 1, forward: 1 });
    expect(planToJson(dense).lvsa).toBeNull();
  });

  it("sums rotating patterns over the steps", () => {
    const { plan, lvsa } = planModel({ model, numFrames: 165, numInferenceSteps: 2, guidanceScale: 1 });
    const pairs = [0, 1].map((step) => lvsa!.patternOfStep(step).indices.length);
    expect(pairs[0]).not.toBe(pairs[1]);
    const perPair = 4n * 1536n * 30n * 1560n * 1560n;
    const rest = plan.flops.totalPerForward.lvsa - plan.flops.attentionPerForward.lvsa;
    expect(plan.totalFlops.lvsa).toBe(perPair * BigInt(pairs[0]! + pairs[1]!) + 2n * rest);
  });
});

describe("a clip in windows", () => {
  it("counts one window's tokens, and each window's passes", async () => {
    const settings = { model, numInferenceSteps: 3, guidanceScale: 5 };
    const window = planModel({ ...settings, numFrames: 81 });
    // 241 latent frames in windows of 21 that share 5: from 0, 16, 32, … and the last from 220.
    const long = planModel({ ...settings, numFrames: 961, windowFrames: 81, windowOverlap: 20 });
    const { plan } = long;
    expect(plan.windows).toEqual({ count: 15, numFrames: 961, overlap: 20 });
    expect(plan.grid).toEqual(window.plan.grid);
    expect(plan.horizon).toBe(1);
    expect(plan.forwardsPerStep).toBe(30);
    expect(plan.totalFlops.dense).toBe(15n * window.plan.totalFlops.dense);
    expect(planToJson(long)).toMatchObject({ windows: { count: 15, num_frames: 961, overlap: 20 } });
    const memory = await planMemory({ model, numFrames: 961, windowFrames: 81 }, undefined);
    expect(renderPlanText(long, memory)).toContain("961 frames in 15 windows of 81 that share 20; each:");
    const short = await planMemory({ model, numFrames: 81 }, undefined);
    expect(memory.phases).toEqual(short.phases);
  });

  it("is the whole clip where that fits one window, and refuses what a generation refuses", () => {
    const whole = planModel({ model, numFrames: 81 });
    expect(planModel({ model, numFrames: 81, windowFrames: 161 }).plan).toEqual(whole.plan);
    expect(planToJson(whole).windows).toBeNull();
    const bad = { model, numFrames: 161, windowFrames: 81, windowOverlap: 3 };
    expect(() => planModel(bad)).toThrow(expect.objectContaining({ code: "BAD_OPTION" }));
  });
});

describe("text and JSON", () => {
  it("shows the numbers of a plan", async () => {
    const long = { model, numFrames: 333 };
    await expect(
      renderPlanText(planModel({ ...long, numInferenceSteps: 10 }), await planMemory(long, undefined)),
    ).toMatchFileSnapshot("__snapshots__/wan-333-frames.txt");
    const edge = { model: getKnownModel("cosmos3-edge") };
    await expect(
      renderPlanText(planModel({ ...edge, lvsa: false }), await planMemory(edge, undefined)),
    ).toMatchFileSnapshot("__snapshots__/cosmos3-edge-dense.txt");
  });

  it("is plain JSON: nothing is lost on the way", async () => {
    const clip = { model, numFrames: 165 };
    const json = planToJson(planModel(clip), await planMemory(clip, undefined));
    expect(JSON.parse(JSON.stringify(json))).toEqual(json);
  });
});

describe("mask", () => {
  it("tells window, global and both apart", () => {
    // Windows at the edges reach as far to the other side.
    expect(maskRow(pattern, 0)).toEqual(["both", "window", "window", "none", "global", "none"]);
    expect(maskRow(pattern, 3)).toEqual(["global", "none", "window", "window", "both", "none"]);
    for (let row = 0; row < pattern.rows; row++) {
      const attended = maskRow(pattern, row).flatMap((kind, key) => (kind === "none" ? [] : [key]));
      expect(attended).toEqual([...pattern.attendedFrames(row)]);
    }
  });

  it("is a PNG with one square per pair of frames", async () => {
    const { rgb, width, height } = maskPicture(pattern);
    expect([width, height]).toEqual([96, 96]);
    const image = await decodePng(await encodePng(rgb, width, height));
    const colourOf = (query: number, key: number) => {
      const at = ((query * 16 + 8) * width + key * 16 + 8) * 3;
      return `#${[...image.frames[0]!.subarray(at, at + 3)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    };
    expect([colourOf(0, 0), colourOf(0, 1), colourOf(0, 3), colourOf(0, 4)]).toEqual([
      MASK_COLOURS.both,
      MASK_COLOURS.window,
      MASK_COLOURS.none,
      MASK_COLOURS.global,
    ]);
  });

  it("stays small for long clips", () => {
    const long = AttentionPattern.build({
      frames: 1500,
      patchesPerFrame: 1,
      window: 3,
      nFirstFrames: 1,
      keyframeInterval: 70,
    });
    expect(maskPicture(long)).toMatchObject({ width: 1500, height: 1500 });
  });

  it("is an SVG whose rectangles cover the attended pairs", () => {
    const svg = maskSvg(pattern, 'a "label" <1>');
    expect(svg).toContain('aria-label="a &quot;label&quot; &lt;1&gt;"');
    const widths = [...svg.matchAll(/<rect x="\d+" y="\d+" width="(\d+)"/g)].map(([, width]) =>
      Number(width),
    );
    expect(widths.reduce((sum, width) => sum + width, 0)).toBe(pattern.indices.length);
  });

  it("is part of one HTML file that loads nothing", async () => {
    const memory = await planMemory({ model, numFrames: 165 }, undefined);
    const html = renderPlanHtml(planModel({ model, numFrames: 165 }), memory);
    expect(html.match(/<figure>/g)).toHaveLength(3);
    expect(html).toContain("Step 2: ");
    expect(html).not.toMatch(/src=|href=|@import|url\(/);
    expect(renderPlanHtml(planModel({ model, lvsa: false }), memory)).toContain("Attention is dense");
  });
});

describe("a memory budget", () => {
  // A model of 28 GB, whose blocks are most of it.
  const large = getKnownModel("wan2.1-t2v-14b");
  const text = async (budget: number, options = {}) => {
    const memory = await planMemory({ model: large, numFrames: 33, ...options }, budget);
    return { memory, text: renderPlanText(planModel({ model: large, numFrames: 33 }), memory) };
  };

  it("is met by streaming blocks where that is needed, and only there", async () => {
    const whole = await planMemory({ model: large, numFrames: 33 }, undefined);
    expect(whole.isOffloaded).toBe(false);
    const enough = await text(whole.peakBytes);
    expect(enough.memory.isOffloaded).toBe(false);
    expect(enough.text).toMatch(/^budget .*: fits \(/m);
    const tight = await text(whole.peakBytes - 1);
    expect(tight.memory).toMatchObject({ isOffloaded: true, budget: { fits: true, options: [] } });
    expect(tight.memory.peakBytes).toBeLessThan(0.6 * whole.peakBytes);
    expect(tight.text).toMatch(/^budget .*: fits with --offload \(/m);
    expect(tight.text).toContain("weights outside of blocks, and two blocks");
  });

  it("that is not met says what would, and no more than is true", async () => {
    const { peakBytes } = await planMemory({ model: large, numFrames: 33 }, undefined);
    const refused = await text(peakBytes - 1, { offload: false });
    const { options } = refused.memory.budget!;
    expect(options.map(fittingText)).toContain("--offload");
    for (const option of options) expect(option.peakBytes).toBeLessThan(peakBytes);
    expect(refused.text).toMatch(/^budget .*: does not fit \(.*\); this would:\n +--offload \(/m);
    const json = planToJson(planModel({ model: large, numFrames: 33 }), refused.memory);
    expect(json.memory).toMatchObject({ offload: false, budget: { bytes: peakBytes - 1, fits: false } });
    expect((await text(1e6)).text).toMatch(/^budget .*: does not fit \(.*\), and neither/m);
  });

  it("that decoding exceeds offers tiles, which change pictures, and does not take them by itself", async () => {
    const clip = { model, numFrames: 5, height: 720, width: 1280, offload: false };
    const whole = await planMemory(clip, undefined);
    expect(whole.peakPhase).toBe("decoding");
    const refused = await planMemory(clip, whole.peakBytes - 1);
    expect(refused.budget?.options.map(fittingText)).toContain("--vae-tiling");
    expect(refused.budget?.fits).toBe(false);
    const tiled = await planMemory({ ...clip, vaeTiling: true }, whole.peakBytes - 1);
    expect(tiled.budget?.fits).toBe(true);
    const planned = planModel({ model, numFrames: 5, height: 720, width: 1280 });
    expect(renderPlanText(planned, tiled)).toMatch(/^tiles {6}256x256, stride 192x192$/m);
    expect(renderPlanText(planned, tiled)).toContain("activations and caches of a tile");
    expect(planToJson(planned, tiled).memory).toMatchObject({ vae_tiling: "256x256, stride 192x192" });
    // Streaming blocks alone and tiles alone are not enough for less than both need.
    const streamed = await planMemory({ ...clip, offload: true, vaeTiling: true }, undefined);
    const both = await planMemory({ ...clip, offload: undefined }, streamed.peakBytes);
    expect(both.budget?.options.map(fittingText)).toContain("--offload with --vae-tiling");
    const small = await planMemory(
      { model, numFrames: 5, height: 240, width: 256, vaeTiling: true },
      undefined,
    );
    expect(renderPlanText(planned, small)).toMatch(/^tiles {6}none: one has the whole picture$/m);
  });
});

describe("resolveModel", () => {
  it("takes a name, and says what it takes for anything else", async () => {
    expect(await resolveModel({ model: "Wan-AI/Wan2.1-T2V-1.3B-Diffusers" })).toEqual({ model });
    await expect(resolveModel({ model: "/no/such/folder" })).rejects.toMatchObject({ code: "UNKNOWN_MODEL" });
  });
});
