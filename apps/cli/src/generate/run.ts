/** One generation from options to files. */
import { DEMO_PROMPTS } from "@lvsa/demo-wan";
import {
  Engine,
  type GenerationResult,
  plainSeed,
  type RunState,
  randomSeed,
  seedForJson,
} from "@lvsa/diffusion";
import {
  type CheckpointInspection,
  describeCheckpoint,
  inspectCheckpoint,
  requireWholeWeights,
} from "@lvsa/diffusion/catalog";
import { type Environment, processEnvironment } from "@lvsa/hooks";
import { familyAdapters } from "@lvsa/hooks/families";
import { type Device, deviceLabel, kernelSummary, throwIfAborted, UsageError } from "@lvsa/runtime";
import { readImage } from "../image/read-image.js";
import { type GenerateCommandOptions, ignoredOptions } from "../options/generate-options.js";
import { generationOptions, withFlags } from "../options/generation-flags.js";
import { tilingOf } from "../options/tiling-options.js";
import { formatBytes } from "../output/units.js";
import { openPreview } from "../preview/open-preview.js";
import { chooseRankDevices } from "../ranks/rank-devices.js";
import { startRanks } from "../ranks/rank-processes.js";
import { deviceOf, ranksText } from "../ranks/rank-task.js";
import { VERSION } from "../version.js";
import { choicePaths, chooseCheckpoint, withStudent } from "./checkpoint.js";
import { hookPlugins } from "./hooks.js";
import { readLatents } from "./latents-file.js";
import { openLoras } from "./loras.js";
import { withMagRatios } from "./mag-ratios-file.js";
import { blockOffload, checkMemory } from "./memory-check.js";
import { openDevice } from "./open-device.js";
import { checkSpace, claimOutputs, mainOutput, outputPaths } from "./output-check.js";
import { profileTable, ruleLines } from "./profile-table.js";
import { formatDuration } from "./progress-line.js";
import { readPrompts } from "./prompts-file.js";
import type { RunReporter } from "./reporter.js";
import { applyRiflex } from "./riflex.js";
import { requireSameInputs, runInputs } from "./run-inputs.js";
import { howToGoOn, RunKeeper } from "./run-keeper.js";
import { fingerprint, type GivenOptions, newRecord, type RunRecord, recordText } from "./run-record.js";
import { installSparse } from "./sparse.js";
import { writeResults } from "./write-results.js";

export interface GenerateRequest {
  readonly options: GenerateCommandOptions;
  /** As they were typed, for `lvsa resume`. */
  readonly given: GivenOptions;
  /** The file of a run that goes on. */
  readonly resume?: { readonly path: string; readonly state: RunState; readonly record: RunRecord };
}

export async function runGenerate(
  request: GenerateRequest,
  reporter: RunReporter,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now();
  const { resume } = request;
  for (const { names, without } of ignoredOptions(request.options)) {
    reporter.notice(`warning: ${names.join(", ")} ignored without ${without}`);
  }
  // 1. Everything that can be wrong without a GPU
  const checkpoint = await chooseCheckpoint(request.options);
  const { options, isStudent } = withStudent(checkpoint, request.options);
  if (checkpoint.isBundled) {
    reporter.notice(
      `No --model given: using the demo model, which draws moving shapes ("${DEMO_PROMPTS[1]}")` +
        (isStudent
          ? ", in four steps (--steps 20: the model itself, without its few-step LoRA)."
          : ", itself, as your options ask; without them its student takes four steps."),
    );
  } else if (isStudent && options.preset !== request.options.preset) {
    reporter.notice(
      `The checkpoint's few-step student runs (preset ${options.preset}); --steps: the model itself.`,
    );
  }
  const environment = resume ? { ...resume.record.environment } : processEnvironment();
  const plugins = hookPlugins(options, reporter, environment);
  const initialLatents =
    options.initialLatents === undefined ? undefined : await readLatents(options.initialLatents);
  const image = options.image === undefined ? undefined : await readImage(options.image);
  const lastImage = options.lastImage === undefined ? undefined : await readImage(options.lastImage);
  const magCache = await withMagRatios(options);
  const prompts = options.prompts === undefined ? undefined : await readPrompts(options.prompts);
  const { folder } = checkpoint;
  const inspection = await inspectCheckpoint(folder);
  requireWholeWeights(inspection);
  const inputs = await runInputs(options);
  if (resume) {
    requireSameCheckpoint(resume.record, inspection);
    requireSameInputs(resume.record.inputs, inputs);
  }
  const paths = await outputPaths(options);
  await using _claim = await claimOutputs(paths, options);
  const keeper = new RunKeeper({
    output: mainOutput(paths),
    every: options.checkpointEvery,
    from: resume?.path,
    notice: (line) => reporter.notice(line),
  });
  throwIfAborted(signal, "the run");
  reporter.begin(
    options.steps ?? (options.preset ? undefined : usualSteps(inspection)),
    resume?.state.step ?? 0,
  );

  // 2. Device and model
  // Ranks begin with the same noise.
  const typedSeed = generationOptions(options).seed;
  const isShared = ranksText(options) !== undefined;
  const chosenSeed = typedSeed ?? (isShared ? randomSeed() : undefined);
  const { devices, line: devicesLine } = await chooseRankDevices(options);
  if (devicesLine) reporter.notice(devicesLine);
  await using ranks = await startRanks(options, {
    given: request.given,
    folder: process.cwd(),
    seed: chosenSeed === undefined ? null : String(plainSeed(chosenSeed)),
    resume: resume?.path ?? null,
    devices: devices ?? null,
  });
  const device = await openDevice({ ...options, device: deviceOf(0, devices, options) }, reporter);
  try {
    throwIfAborted(signal, "the run");
    const rehearsal = await checkMemory(inspection, options, device, { folder, image });
    // Side by side and now, instead of one after the other in the first step.
    if (rehearsal) await device.warm(rehearsal.kernels);
    throwIfAborted(signal, "the run");
    const log = (line: string) => reporter.log(line);
    const loras = await openLoras(options);
    const isOffloaded = rehearsal?.isOffloaded ?? options.offload === true;
    const offload = isOffloaded ? { offload: blockOffload(device) } : {};
    const { precision } = options;
    const { parallel } = ranks;
    const vaeTiling = tilingOf(options);
    using engine = await Engine.open(folder, {
      ...{ device, precision, plugins, log, loras, ...offload },
      ...(parallel ? { parallel } : {}),
      ...(vaeTiling ? { vaeTiling } : {}),
    });
    const { pipeline } = engine;
    const { numFrames, height, width } = pipeline.videoSize({
      ...generationOptions(options),
      ...(image ? { image } : {}),
    });
    const fps = options.fps ?? pipeline.defaults.fps;
    // What the transformer sees at once: the clip, or one of its windows.
    const seenFrames = Math.min(numFrames, options.windowFrames ?? numFrames);
    const clip = pipeline.clip(seenFrames, height, width);
    await checkSpace(paths, { numFrames, height, width });
    reporter.notice(
      `${deviceLabel(device.info)}: ${width}x${height}, ${numFrames} frames ` +
        `(${seenFrames < numFrames ? `in windows of ${seenFrames}: ` : ""}${clip.latentFrames} latent x ${clip.patchesPerFrame} tokens)` +
        (rehearsal ? `, about ${formatBytes(rehearsal.memory.peakBytes)} of GPU memory` : "") +
        (isShared ? ` on each of ${ranksText(options)}` : ""),
    );
    if (isOffloaded) {
      reporter.notice(
        `The transformer runs in the memory of two blocks; the others are read while it works${
          options.offload
            ? "."
            : ", because the memory is too small for all of them (--no-offload: refuse instead)."
        }`,
      );
    }

    // 3. Attention
    const riflex = options.riflex
      ? await applyRiflex(pipeline, options, async () =>
          (await familyAdapters().get(pipeline.family)).referenceLatentFrames(pipeline.geometry),
        )
      : undefined;
    if (riflex) reporter.log(riflex.line);
    using sparse = options.lvsa
      ? await installSparse(pipeline, options, { ...clip, numFrames: seenFrames, height, width }, reporter)
      : undefined;
    if (!sparse && engine.plugins.length === 0)
      reporter.log("[attn] using standard full attention (no LVSA)");

    // 4. Denoise, decode, write
    const facts = {
      model: checkpoint.name,
      precision: options.precision,
      math: device.math,
      device: deviceLabel(device.info),
      lvsa: sparse?.settings ?? null,
      riflex: riflex?.settings ?? null,
      ...(isShared
        ? {
            cfg_parallel_size: options.cfgParallelSize,
            context_parallel_size: options.contextParallelSize,
          }
        : {}),
      version: VERSION,
    };
    const recordOf = (settings: Readonly<Record<string, unknown>>): RunRecord =>
      newRecord({
        options: request.given,
        folder: process.cwd(),
        paths,
        model: choicePaths(options),
        checkpoint: fingerprint(inspection),
        inputs,
        device: computedBy(device, options),
        environment: lvsaVariables(environment),
        clip: { numFrames, height, width, fps },
        settings,
      });
    keeper.describe(recordOf(facts));
    if (resume) {
      keeper.startFrom(resume.state);
      warnOfOtherDevice(resume.record, computedBy(device, options), reporter);
    }
    const preview = await openPreview(options.preview, pipeline, mainOutput(paths), reporter);
    let drained: Promise<unknown> = Promise.resolve();
    const { seed: _typed, prompt = "", ...asked } = { ...generationOptions(options), ...magCache };
    const result = await engine.generate({
      ...asked,
      ...(prompts ? { prompts } : { prompt }),
      ...{ numFrames, height, width },
      ...(resume ? { resumeFrom: resume.state } : chosenSeed === undefined ? {} : { seed: chosenSeed }),
      ...(initialLatents && !resume ? { initialLatents } : {}),
      ...(image ? { image } : {}),
      ...(lastImage ? { lastImage } : {}),
      signal: ranks.lost ? AbortSignal.any([signal, ranks.lost]) : signal,
      onStage: (report) => reporter.stage(report),
      onStep: (report) => {
        reporter.step(report);
        sparse?.afterStep(report.index);
        if (!device.profiler) return;
        reporter.log(`[profile] step ${report.index}: ${report.seconds.toFixed(3)}s`);
        // Empties the profiler's readback buffers while the run goes on; a failure shows at the end.
        drained = drained.then(() => device.profiler?.report()).catch(() => undefined);
      },
      onState: async (state) => {
        await keeper.afterStep(state);
        await preview?.show(state);
      },
    });
    // They have the latents too, and nothing more to do.
    await ranks.close();
    for (const note of result.notes) reporter.notice(withFlags(note));
    const settings = {
      ...result.settings,
      ...facts,
      ...stepCacheFigures(result),
      kernels: kernelSummary(device.kernelUses()),
    };
    const record = recordOf(settings);
    keeper.describe(record);
    await keeper.finished(result.latents, Number(result.settings.num_inference_steps));
    const results = { ...result, settings, latentsMetadata: recordText(record) };
    const { overwrite, mp4 } = options;
    const written = await writeResults(paths, results, { overwrite, mp4, signal, reporter });
    await keeper.done();
    await preview?.done();
    if (device.profiler) {
      await drained;
      const times = await device.profiler.report();
      const rules = device.kernelUses();
      reporter.print(profileTable(times) + ruleLines(rules), "profile", { kernels: times, rules });
    }
    warnOfBudget(device, options, reporter);
    sayResult(result, { ...written }, settings, device, started, reporter);
  } catch (caught) {
    // A rank that is gone stops this one: that is why, not that.
    const error = ranks.lost?.aborted && !signal.aborted ? ranks.lost.reason : caught;
    const kept = await keeper.keep(error);
    if (kept) reporter.kept(kept, howToGoOn(kept, error, paths.output, options.model));
    throw error;
  } finally {
    device.dispose();
  }
}

/** Steps of a checkpoint whose user does not say; undefined where only its pipeline knows. */
function usualSteps(inspection: CheckpointInspection): number | undefined {
  try {
    return describeCheckpoint(inspection).defaults.numInferenceSteps;
  } catch {
    // What is wrong with it is said when it is opened.
    return undefined;
  }
}

/** What a step cache skipped, and the time that its passes took; nothing without one. */
function stepCacheFigures({ stepCache }: GenerationResult): Readonly<Record<string, unknown>> {
  if (!stepCache) return {};
  const { passes, reused, largestError, threshold, computedSeconds, reusedSeconds } = stepCache;
  return {
    step_cache_report: {
      ...{ passes, reused, largest_error: largestError, threshold },
      computed_seconds: Number(computedSeconds.toFixed(3)),
      reused_seconds: Number(reusedSeconds.toFixed(3)),
    },
  };
}

function sayResult(
  result: GenerationResult,
  written: { readonly output?: string; readonly output_latent?: string },
  settings: Readonly<Record<string, unknown>>,
  device: Device,
  started: number,
  reporter: RunReporter,
): void {
  const seconds = (performance.now() - started) / 1000;
  const { frameCount: frames, width, height, fps } = result;
  // Of latents that were given nothing was drawn: there is no seed that makes this clip again.
  const seed = result.settings.seed === null ? null : seedForJson(result.seed);
  reporter.result(
    {
      ...written,
      ...{ frames, width, height, fps, seed },
      seconds: Number(seconds.toFixed(3)),
      peak_bytes: device.memory().peakBytes,
      settings,
    },
    `${[written.output, written.output_latent].filter(Boolean).join(" and ")}: ${frames} frames, ` +
      `${width}x${height}, ${fps} fps${seed === null ? "" : `, seed ${seed}`}, in ${formatDuration(seconds)}`,
  );
}

function warnOfBudget(device: Device, { memoryBudget }: GenerateCommandOptions, reporter: RunReporter): void {
  const { peakBytes } = device.memory();
  if (memoryBudget === undefined || peakBytes <= memoryBudget) return;
  reporter.notice(
    `warning: the run took ${formatBytes(peakBytes)} of GPU memory, more than --memory-budget ${formatBytes(memoryBudget)}`,
  );
}

/** What decides the bits of a step besides options and weights. */
function computedBy(device: Device, { precision, contextParallelSize }: GenerateCommandOptions): string {
  const frames = contextParallelSize > 1 ? `, frames on ${contextParallelSize} ranks` : "";
  return `${deviceLabel(device.info)}, ${device.math} math, precision ${precision}${frames}`;
}

function warnOfOtherDevice({ device }: RunRecord, now: string, reporter: RunReporter): void {
  if (device === now) return;
  reporter.notice(
    `note: the run began on ${device}, and goes on with ${now}: the result will not be the same to the last bit.`,
  );
}

function requireSameCheckpoint(record: RunRecord, inspection: CheckpointInspection): void {
  if (record.checkpoint === fingerprint(inspection)) return;
  throw new UsageError(
    "RUN_CHANGED",
    `this is not the checkpoint that the run began with, ${Object.values(record.model).join(", ")}`,
    {
      where: inspection.name,
      fix: "Give that checkpoint with --model.",
    },
  );
}

function lvsaVariables(environment: Environment): Record<string, string> {
  const entries = Object.entries(environment).filter(
    (entry): entry is [string, string] =>
      /^LVSA_(?!TEST_|REFERENCE_DIR)/.test(entry[0]) && entry[1] !== undefined,
  );
  return Object.fromEntries(entries);
}
