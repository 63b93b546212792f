/** Methods that draw, freeze, turn round or lose the object: the comparison finds each fault, and says how sure it is. */
import type { VideoFrames } from "@lvsa/video";
import { describe, expect, it } from "vitest";
import { clipOf } from "../clip.js";
import { captionOf } from "../shapes/captions.js";
import { sampleScenes } from "../shapes/scenes.js";
import { drawClip, drawFrame, type Scene, WORLD_SIZE } from "../shapes/world.js";
import { bootstrapMean, wilsonInterval } from "../statistics.js";
import { type CompareJob, type CompareMethod, type CompareOptions, compare } from "./compare.js";
import { renderComparison } from "./page.js";
import { readComparison } from "./reading.js";
import { summarize } from "./summary.js";

const scenes = sampleScenes(300, 11)
  .filter(({ objects }) => objects[0]!.motion === "right")
  .slice(0, 5);
const prompts = scenes.map((scene, i) => captionOf(scene, i));
const method = (name: string): CompareMethod => ({ name, label: name });
const same: CompareMethod = { ...method("same"), differsAt: ({ factor }) => factor > 1 };
const lengths = [
  { factor: 1, numFrames: 17 },
  { factor: 2, numFrames: 34 },
];

function turned(scene: Scene): Scene {
  return { ...scene, objects: [{ ...scene.objects[0]!, motion: "left" }] };
}

function draw({ prompt, method: { name }, length: { numFrames, factor } }: CompareJob): VideoFrames {
  const scene = scenes[prompts.indexOf(prompt)]!;
  const faults: Record<string, () => Uint8Array[]> = {
    frozen: () => Array<Uint8Array>(numFrames).fill(drawFrame(scene, 0)),
    wrong: () => drawClip(turned(scene), numFrames),
    vanishing: () =>
      drawClip(scene, numFrames).map((frame, t) =>
        t > (2 * numFrames) / 3 ? drawFrame({ ...scene, objects: [] }, 0) : frame,
      ),
  };
  const isLong = factor > 1;
  const frames = isLong && faults[name] ? faults[name]() : drawClip(scene, numFrames);
  return clipOf(frames, WORLD_SIZE, WORLD_SIZE);
}

const run = (options: Partial<CompareOptions> = {}) =>
  compare({
    prompts,
    methods: [method("right"), method("frozen"), method("wrong"), method("vanishing"), same],
    lengths,
    generate: async (job) => ({ clip: draw(job), seconds: 1 }),
    ...options,
  });

describe("a comparison", async () => {
  const jobs: string[] = [];
  const comparison = await run({
    onResult: ({ method: name, factor, seed }) => void jobs.push(`${seed} ${name} ${factor}`),
  });
  const rows = summarize(comparison);
  const row = (name: string, factor = 2) => rows.find((r) => r.method === name && r.factor === factor)!;

  it("runs every combination once, one prompt after the other, with the same noise for all methods", () => {
    // Five methods at both lengths, but `same` not at the first.
    expect(jobs).toHaveLength(5 * 9);
    expect(new Set(jobs).size).toBe(jobs.length);
    expect(jobs.slice(0, 9).every((job) => job.startsWith("0 "))).toBe(true);
    expect(jobs[0]).toBe("0 right 1");
    expect(jobs).not.toContain("0 same 1");
    expect(rows).toHaveLength(9);
  });

  it("finds what is right, frozen, wrong and lost", () => {
    expect(comparison.isJudged).toBe(true);
    expect(row("right")).toMatchObject({ following: { mean: 1 }, drift: { mean: 0 }, rightWay: { mean: 1 } });
    expect(row("same").following!.mean).toBe(1);
    const frozen = row("frozen");
    expect(frozen).toMatchObject({
      motionKept: 0,
      consistency: { mean: 1 },
      right: { color: { mean: 1 }, motion: { mean: 0 } },
      rightWay: { mean: 0 },
      frozenShare: { frozen: 5, moving: 5 },
    });
    expect(frozen.following!.mean).toBe(0.75);
    expect(row("wrong")).toMatchObject({ right: { motion: { mean: 0 } }, rightWay: { mean: 0 } });
    expect(row("wrong").motionKept).toBeCloseTo(1, 0);
    expect(row("vanishing").drift!.mean).toBe(-0.75);
    expect(row("vanishing").right.color!.mean).toBe(0.5);
  });

  it("says so in words", () => {
    const text = readComparison(comparison, rows).join("\n");
    expect(text).toMatch(/^5 prompts, .* uncertain by about 33 points; .*\.$/m);
    expect(text).toContain(
      "2x: frozen keeps 0 % of the motion at the training length; its consistency of 1.000",
    );
    expect(text).toMatch(/2x: frozen is 25 points worse than right in following the prompt/);
    expect(text).toMatch(/2x: same can not be told from .* right/);
    expect(text).not.toMatch(/2x: (right|wrong) keeps/);
  });

  it("is one page that needs nothing else", () => {
    const asked: string[] = [];
    const page = renderComparison(comparison, {
      title: 'a < b & "c"',
      facts: ["<script>alert(1)</script>"],
      clip: (index, name, factor) => {
        asked.push(`${index} ${name} ${factor}`);
        return { mimeType: factor > 1 ? "video/mp4" : "image/gif", bytes: new Uint8Array(20_000).fill(255) };
      },
    });
    expect(asked.sort()).toEqual(jobs.sort());
    expect(page.match(/<img src="data:image\/gif;base64,/g)).toHaveLength(20);
    expect(page.match(/<video src="data:video\/mp4;base64,/g)).toHaveLength(25);
    expect(page.match(/>as right</g)).toHaveLength(5);
    expect(page).not.toMatch(/<script|https?:|src="(?!data:)|href/);
    expect(page).toContain("a &lt; b &amp; &quot;c&quot;");
    expect(page).toContain("<td>100 % (57 to 100)</td>");
  });
});

describe("comparing", () => {
  it("judges only prompts and clips of the demo world", async () => {
    const few = { prompts: prompts.slice(0, 1), methods: [method("right")], lengths: lengths.slice(0, 1) };
    expect((await run({ ...few, judge: "none" })).isJudged).toBe(false);
    const cats = await run({
      ...few,
      prompts: ["A cat."],
      generate: async () => ({ clip: clipOf([new Uint8Array(12), new Uint8Array(12)], 2, 2), seconds: 1 }),
    });
    expect(cats.isJudged).toBe(false);
    expect(readComparison(cats, summarize(cats)).at(-1)).toContain("Look at them");
  });

  it("keeps to prompts that are finished, and stops between clips", async () => {
    const comparison = await run({
      prompts: prompts.slice(0, 2),
      methods: [method("right"), method("wrong")],
    });
    const half = { ...comparison, results: comparison.results.slice(0, 6) };
    expect(summarize(half)[0]!.prompts).toBe(1);
    expect(summarize({ ...half, results: half.results.slice(0, 3) })).toEqual([]);
    const controller = new AbortController();
    const stopped = run({ signal: controller.signal, onResult: () => controller.abort(new Error("mine")) });
    await expect(stopped).rejects.toMatchObject({
      code: "ABORTED",
      message: expect.stringContaining("1 of 45"),
    });
  });

  it.each([
    ["no prompts", { prompts: [] }],
    ["no methods", { methods: [] }],
    ["one name twice", { methods: [method("a"), method("a")] }],
    ["lengths that shrink", { lengths: [...lengths].reverse() }],
  ])("refuses %s", async (_, options) => {
    await expect(run(options)).rejects.toMatchObject({ code: "COMPARE_OPTIONS", isUsage: true });
  });
});

describe("intervals", () => {
  it("of shares are Wilson's", () => {
    // Brown, Cai and DasGupta's example of none in ten, and the middle.
    expect(wilsonInterval(0, 10).high).toBeCloseTo(0.2775, 4);
    expect(wilsonInterval(5, 10)).toEqual({
      low: expect.closeTo(0.2366, 4),
      high: expect.closeTo(0.7634, 4),
    });
    expect(wilsonInterval(0, 0)).toEqual({ low: 0, high: 1 });
  });

  it("of means hold the mean, and are the same each time", () => {
    const values = Array.from({ length: 40 }, (_, i) => Math.sin(i));
    const { mean, interval } = bootstrapMean(values);
    expect(interval!.low).toBeLessThan(mean);
    expect(interval!.high).toBeGreaterThan(mean);
    // Twice 1.96 standard errors, within the bootstrap's own noise.
    const width = (2 * 1.96 * Math.sqrt(0.5)) / Math.sqrt(40);
    expect(Math.abs(interval!.high - interval!.low - width)).toBeLessThan(0.15 * width);
    expect(bootstrapMean(values)).toEqual({ mean, interval });
    expect(bootstrapMean([1, 1, 1]).interval).toBeUndefined();
    // Student's interval of five values: 2.776 standard errors, where a plain bootstrap has 1.96 of too small ones.
    const few = bootstrapMean([1, 2, 3, 4, 5]).interval!;
    const student = (2.776 * Math.sqrt(2.5)) / Math.sqrt(5);
    expect(Math.abs((few.high - few.low) / 2 - student)).toBeLessThan(0.15 * student);
  });
});
