/** Clips of all prompts, lengths and methods from one checkpoint, onto one page. */
import { existsSync } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { Engine } from "@lvsa/diffusion";
import { inspectCheckpoint, requireWholeWeights } from "@lvsa/diffusion/catalog";
import { collectClip } from "@lvsa/quality";
import {
  type CompareJob,
  type CompareResult,
  type Comparison,
  compare,
  type PageClip,
  renderComparison,
} from "@lvsa/quality/compare";
import { deviceLabel, throwIfAborted } from "@lvsa/runtime";
import { createDevice, type LookForDrivers } from "@lvsa/runtime/node";
import { encodeVideo, streamOf, type VideoFrames } from "@lvsa/video";
import { nodeVideoBackends, partialPath } from "@lvsa/video/node";
import { UsageError } from "../exit-codes.js";
import { chooseCheckpoint, withBundledDefaults } from "../generate/checkpoint.js";
import { claimFile } from "../generate/output-check.js";
import { lockOwner } from "../generate/output-lock.js";
import type { CompareCommandOptions } from "../options/compare-options.js";
import { generationOptions, withFlags } from "../options/generation-flags.js";
import { lvsaConfigOf } from "../options/lvsa-options.js";
import { MethodBench, type MethodName } from "./methods.js";
import { comparePrompts } from "./prompts.js";
import { comparisonToJson } from "./render-comparison.js";

/** Wider clips are shown as MP4: GIF would be large, and has 256 colours. */
const WIDEST_GIF = 160;

export interface CompareReporter {
  notice(line: string): void;
  progress(line: string): void;
  /** See `CommandIo`. */
  readonly lookForDrivers?: LookForDrivers | undefined;
}

/** @returns what is on the page, and where that is */
export async function runCompare(
  options: CompareCommandOptions,
  reporter: CompareReporter,
  signal: AbortSignal,
): Promise<{ readonly comparison: Comparison; readonly output: string }> {
  const checkpoint = await chooseCheckpoint(options.generation);
  const common = checkpoint.isBundled ? withBundledDefaults(options.generation) : options.generation;
  const prompts = await comparePrompts(options, checkpoint.isBundled);
  const output = options.output ?? (await freePage());
  await using _claim = await claimFile(output, {
    option: "--output",
    endings: [".html", ".htm"],
    overwrite: options.overwrite,
  });
  const seed = firstSeed(common.seed, prompts.length);
  const { folder } = checkpoint;
  requireWholeWeights(await inspectCheckpoint(folder));
  const { device: adapter, math, precision } = common;
  const onNotice = (line: string) => reporter.notice(line);
  const softwareAdapter = () => import("@lvsa/software-adapter");
  const { lookForDrivers } = reporter;
  const device = await createDevice({ adapter, math, softwareAdapter, onNotice, lookForDrivers });
  try {
    throwIfAborted(signal, "comparing");
    // The model itself, unless its student is asked for by its preset.
    const fewSteps = common.preset !== undefined && common.preset === checkpoint.student?.preset;
    using engine = await Engine.open(folder, { device, precision, fewSteps, registered: false });
    const { pipeline } = engine;
    const { height = pipeline.defaults.height, width = pipeline.defaults.width } = common;
    const bench = await MethodBench.open(pipeline, lvsaConfigOf(common), {
      height,
      width,
    });
    const methods = bench.methods(options.methods);
    const lengths = bench.lengths(options.lengths);
    // What a model can not do is said now, not after the first prompt.
    for (const name of options.methods) {
      for (const length of lengths) (await bench.install(name, length))[Symbol.dispose]();
    }
    const given = { ...generationOptions(common), height, width };
    const clips = new Map<string, PageClip>();
    const results: CompareResult[] = [];
    let settings: Readonly<Record<string, unknown>> = {};
    let fps = common.fps ?? pipeline.defaults.fps;

    const generate = async ({ prompt, seed: jobSeed, method, length }: CompareJob) => {
      using _installed = await bench.install(method.name as MethodName, length);
      const started = performance.now();
      const what = `clip ${results.length + 1}: ${length.factor}x ${method.label}`;
      const result = await engine.generate({
        ...given,
        prompt,
        seed: jobSeed,
        numFrames: length.numFrames,
        signal,
        onStep: ({ index, count }) => reporter.progress(`${what}, step ${index + 1}/${count}`),
      });
      for (const note of results.length === 0 ? result.notes : []) reporter.notice(withFlags(note));
      const clip = await collectClip(result.frames, result.width, result.height);
      settings = result.settings;
      fps = result.fps;
      return { clip, seconds: (performance.now() - started) / 1000 };
    };

    const page = async (isJudged: boolean): Promise<Comparison> => {
      const comparison = { prompts, methods, lengths, isJudged, results };
      const { prompt: _prompt, seed: _seed, num_frames: _frames, ...rest } = settings;
      const facts = [
        `${checkpoint.name} on ${deviceLabel(device.info)}, ${width}x${height}, trained on ${bench.trained} latent frames`,
        Object.entries(rest)
          .filter(([, value]) => value !== null && value !== "")
          .map(([name, value]) => `${name} ${String(value)}`)
          .join(", "),
      ];
      const html = renderComparison(comparison, {
        title: `${checkpoint.name}: beyond the training length`,
        facts,
        clip: (promptIndex, method, factor) => clips.get(`${promptIndex} ${method} ${factor}`),
      });
      const json = {
        model: checkpoint.name,
        device: deviceLabel(device.info),
        settings: rest,
        ...comparisonToJson(comparison),
      };
      await replaceFile(output, html);
      await replaceFile(`${output}.json`, `${JSON.stringify(json, undefined, 2)}\n`);
      return comparison;
    };

    const comparison = await compare({
      prompts,
      methods,
      lengths,
      seed,
      judge: options.judge,
      generate,
      signal,
      onResult: async (result, clip, done, total) => {
        results.push(result);
        const { promptIndex, method, factor } = result;
        clips.set(`${promptIndex} ${method} ${factor}`, await pageClip(clip, fps));
        reporter.notice(
          `${done}/${total}  ${factor}x ${method}: ${result.seconds.toFixed(1)} s, motion ${result.score.motionMean.toFixed(2)}` +
            (result.following ? `, follows ${(100 * result.following.total).toFixed(0)} %` : ""),
        );
        if (done < total && done % (total / prompts.length) === 0) await page(result.following !== undefined);
      },
    });
    return { comparison: await page(comparison.isJudged), output };
  } finally {
    device.dispose();
  }
}

/** `compare.html`, or the first of `compare-2.html` and on that is free. */
async function freePage(): Promise<string> {
  for (let i = 1; ; i++) {
    const name = `compare${i === 1 ? "" : `-${i}`}.html`;
    const isTaken = existsSync(name) || existsSync(`${name}.json`) || (await lockOwner(resolve(name)));
    if (!isTaken) return name;
  }
}

/** Seeds count up from it. */
function firstSeed(seed: CompareCommandOptions["generation"]["seed"], prompts: number): number {
  const first = Number(seed ?? 0);
  if (Number.isSafeInteger(first + prompts)) return first;
  throw new UsageError(`--seed ${String(seed)} leaves no room to count up`, "Give one below 2^53.");
}

async function pageClip(clip: VideoFrames, fps: number): Promise<PageClip> {
  const format = clip.width <= WIDEST_GIF ? "gif" : "mp4";
  const { bytes } = await encodeVideo({ ...streamOf(clip, fps), format, backends: nodeVideoBackends() });
  return { mimeType: format === "gif" ? "image/gif" : "video/mp4", bytes };
}

/** Written beside and renamed: whoever looks at the page meanwhile sees a whole one. */
async function replaceFile(path: string, text: string): Promise<void> {
  const target = resolve(path);
  await mkdir(dirname(target), { recursive: true });
  const partial = partialPath(target);
  await writeFile(partial, text);
  await rename(partial, target);
}
