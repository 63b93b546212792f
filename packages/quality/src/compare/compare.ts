/** Several methods on the same prompts, lengths and noise: clips, times and scores. */
import { checkOptionKinds, type OptionKinds, throwIfAborted, UsageError } from "@lvsa/runtime/errors";
import type { VideoFrames } from "@lvsa/video";
import { sliceClip } from "../clip.js";
import { type ClipScore, scoreClip } from "../score.js";
import { readCaption } from "../shapes/captions.js";
import { WORLD_SIZE } from "../shapes/world.js";
import { type Following, judgeClip } from "./following.js";

/** A way to generate, e.g. `dense` or `lvsa-rotating`. */
export interface CompareMethod {
  /** Short, unique. */
  readonly name: string;
  /** For people. */
  readonly label: string;
  /**
   * False for a length where it does the same as the first method: it is not run there, and the first one's clip stands for it.
   * Default: always.
   */
  differsAt?(length: CompareLength): boolean;
}

export interface CompareLength {
  /** Multiple of the training length. */
  readonly factor: number;
  readonly numFrames: number;
}

export interface CompareJob {
  readonly prompt: string;
  readonly seed: number;
  readonly method: CompareMethod;
  readonly length: CompareLength;
}

export interface CompareOptions {
  readonly prompts: readonly string[];
  /** The first is what the others are compared with. */
  readonly methods: readonly CompareMethod[];
  /** Ascending; the first should be the training length: motion and following are measured against it. */
  readonly lengths: readonly CompareLength[];
  /** Of the first prompt; the next ones count up. All methods get the same noise. Default 0. */
  readonly seed?: number;
  /**
   * Whether clips are read by the demo world's analyser. Default `auto`: when every prompt is one of that world and clips are
   * 64x64.
   */
  readonly judge?: "auto" | "none";
  /** Makes one clip. It may stay the maker's: it is read before the next call. */
  generate(job: CompareJob): Promise<{ readonly clip: VideoFrames; readonly seconds: number }>;
  /** Hears every result as it comes, in the order of prompts, lengths, methods. */
  onResult?(result: CompareResult, clip: VideoFrames, done: number, total: number): void | Promise<void>;
  readonly signal?: AbortSignal;
}

export interface CompareResult {
  readonly prompt: string;
  readonly promptIndex: number;
  readonly seed: number;
  readonly method: string;
  readonly factor: number;
  readonly numFrames: number;
  /** To generate and decode, wall time. */
  readonly seconds: number;
  readonly score: ClipScore;
  /** Against the prompt; undefined where it is not judged. */
  readonly following: Following | undefined;
}

export interface Comparison {
  readonly prompts: readonly string[];
  readonly methods: readonly CompareMethod[];
  readonly lengths: readonly CompareLength[];
  readonly isJudged: boolean;
  readonly results: readonly CompareResult[];
}

/**
 * Generates and scores every combination. A prompt is finished in all lengths and methods before the next one begins, so that
 * what an interrupted run leaves can be compared.
 *
 * @throws UsageError `BAD_OPTION` for options that are unknown or of another kind; `COMPARE_OPTIONS` for nothing to compare or two methods of one name; AbortError
 */
export async function compare(options: CompareOptions): Promise<Comparison> {
  checkCompareOptions(options);
  const { prompts, methods, lengths, seed = 0, signal } = options;
  const isReadable = options.judge !== "none" && prompts.every((prompt) => readCaption(prompt) !== undefined);
  const jobs = prompts.flatMap((prompt, promptIndex) =>
    lengths.flatMap((length) =>
      methods
        .filter((method, i) => i === 0 || (method.differsAt?.(length) ?? true))
        .map((method) => ({ prompt, promptIndex, seed: seed + promptIndex, method, length })),
    ),
  );
  const results: CompareResult[] = [];
  let isJudged = isReadable;
  for (const job of jobs) {
    throwIfAborted(signal, `comparing after ${results.length} of ${jobs.length} clips`);
    const { clip, seconds } = await options.generate(job);
    isJudged &&= clip.width === WORLD_SIZE && clip.height === WORLD_SIZE;
    const { prompt, promptIndex, length } = job;
    const trained = lengths[0]!.numFrames;
    const result: CompareResult = {
      prompt,
      promptIndex,
      seed: job.seed,
      method: job.method.name,
      factor: length.factor,
      numFrames: length.numFrames,
      seconds,
      score: scoreClip(clip),
      following: isJudged ? judgeClip(windowsOf(clip, trained), readCaption(prompt)!) : undefined,
    };
    results.push(result);
    await options.onResult?.(result, clip, results.length, jobs.length);
  }
  return { prompts, methods, lengths, isJudged, results };
}

const COMPARE_KINDS: OptionKinds<CompareOptions> = {
  ...{ prompts: "array", methods: "array", lengths: "array", seed: "number", judge: ["auto", "none"] },
  ...{ generate: "function", onResult: "function", signal: "object" },
};

function checkCompareOptions(options: CompareOptions): void {
  checkOptionKinds(COMPARE_KINDS, options, "compare");
  const { prompts, methods, lengths } = options;
  for (const [name, values] of Object.entries({ prompts, methods, lengths })) {
    if (values.length === 0) throw new UsageError("COMPARE_OPTIONS", `there are no ${name} to compare`);
  }
  const twice = methods.find(({ name }, i) => methods.findIndex((other) => other.name === name) !== i);
  if (twice) throw new UsageError("COMPARE_OPTIONS", `two methods are called ${twice.name}`);
  if (lengths.every(({ numFrames }, i) => i === 0 || numFrames > lengths[i - 1]!.numFrames)) return;
  throw new UsageError("COMPARE_OPTIONS", "lengths must grow, each longer than the one before");
}

/** Parts of a clip that are as long as what the model was trained on; the last may begin early, so that it is whole. */
function windowsOf(clip: VideoFrames, size: number): VideoFrames[] {
  const count = Math.max(1, Math.round(clip.count / size));
  const whole = Math.min(size, clip.count);
  return Array.from({ length: count }, (_, i) => {
    const from = count === 1 ? 0 : Math.round((i * (clip.count - whole)) / (count - 1));
    return sliceClip(clip, from, from + whole);
  });
}
