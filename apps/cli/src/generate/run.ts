/** One generation from options to files. */
import { Engine, type GenerationResult, NotFiniteError, seedForJson } from "@lvsa/diffusion";
import { inspectCheckpoint } from "@lvsa/diffusion/catalog";
import { type Device, deviceLabel, kernelSummary, throwIfAborted } from "@lvsa/runtime";
import { createDevice } from "@lvsa/runtime/node";
import { writeVideo } from "@lvsa/video/node";
import { createAdapterRegistry } from "../adapters.js";
import { type GenerateCommandOptions, ignoredOptions } from "../options/generate-options.js";
import { generationOptions, withFlags } from "../options/generation-flags.js";
import { formatBytes } from "../output/units.js";
import { VERSION } from "../version.js";
import { chooseCheckpoint, requireWholeWeights, withBundledDefaults } from "./checkpoint.js";
import { hookPlugins } from "./hooks.js";
import { readLatents, writeLatents } from "./latents-file.js";
import { openLoras } from "./loras.js";
import { checkMemory } from "./memory-check.js";
import { checkOutputs, type OutputPaths, outputPaths } from "./output-check.js";
import { profileTable, ruleLines } from "./profile-table.js";
import { formatDuration } from "./progress-meter.js";
import type { RunReporter } from "./reporter.js";
import { applyRiflex } from "./riflex.js";
import { installSparse } from "./sparse.js";

export async function runGenerate(
  given: GenerateCommandOptions,
  reporter: RunReporter,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now();
  for (const { names, without } of ignoredOptions(given)) {
    reporter.notice(`warning: ${names.join(", ")} ignored without ${without}`);
  }
  // 1. Everything that can be wrong without a GPU
  const checkpoint = await chooseCheckpoint(given);
  const options = checkpoint.isBundled ? withBundledDefaults(given) : given;
  if (checkpoint.isBundled) {
    reporter.notice(
      "No --model given: using the tiny checkpoint that ships with lvsa; its weights are random.",
    );
  }
  const plugins = hookPlugins(options, reporter);
  const paths = outputPaths(options);
  await checkOutputs(paths);
  const initialLatents =
    options.initialLatents === undefined ? undefined : await readLatents(options.initialLatents);
  const { folder } = checkpoint;
  const inspection = await inspectCheckpoint(folder);
  requireWholeWeights(inspection);
  throwIfAborted(signal, "the run");

  // 2. Device and model
  const device = await openDevice(options, reporter);
  try {
    throwIfAborted(signal, "the run");
    const rehearsal = await checkMemory(inspection, options, device);
    // Side by side and now, instead of one after the other in the first step.
    if (rehearsal) await device.warm(rehearsal.kernels);
    throwIfAborted(signal, "the run");
    const log = (line: string) => reporter.log(line);
    const loras = await openLoras(options);
    using engine = await Engine.open(folder, { device, precision: options.precision, plugins, log, loras });
    const { pipeline } = engine;
    const { defaults } = pipeline;
    const numFrames = options.numFrames ?? defaults.numFrames;
    const height = options.height ?? defaults.height;
    const width = options.width ?? defaults.width;
    const clip = pipeline.clip(numFrames, height, width);
    reporter.notice(
      `${deviceLabel(device.info)}: ${width}x${height}, ${numFrames} frames (${clip.latentFrames} latent x ${clip.patchesPerFrame} tokens)` +
        (rehearsal ? `, about ${formatBytes(rehearsal.memory.peakBytes)} of GPU memory` : ""),
    );

    // 3. Attention
    const registry = createAdapterRegistry();
    const riflex = options.riflex
      ? await applyRiflex(pipeline, options, async () =>
          (await registry.get(pipeline.family)).referenceLatentFrames(pipeline.geometry),
        )
      : undefined;
    if (riflex) reporter.log(riflex.line);
    using sparse = options.lvsa
      ? await installSparse(pipeline, registry, options, { ...clip, numFrames, height, width }, reporter)
      : undefined;
    if (!sparse && engine.plugins.length === 0)
      reporter.log("[attn] using standard full attention (no LVSA)");

    // 4. Denoise, decode, write
    let drained: Promise<unknown> = Promise.resolve();
    const result = await engine.generate({
      ...generationOptions(options),
      prompt: options.prompt ?? "",
      numFrames,
      height,
      width,
      ...(initialLatents ? { initialLatents } : {}),
      signal,
      onStage: (report) => reporter.stage(report),
      onStep: (report) => {
        reporter.step(report);
        sparse?.afterStep(report.index);
        if (!device.profiler) return;
        reporter.log(`[profile] step ${report.index}: ${report.seconds.toFixed(3)}s`);
        // Empties the profiler's readback buffers while the run goes on; a failure shows at the end.
        drained = drained.then(() => device.profiler?.report()).catch(() => undefined);
      },
    });
    for (const note of result.notes) reporter.notice(withFlags(note));
    const settings = {
      ...result.settings,
      model: checkpoint.name,
      precision: options.precision,
      math: device.math,
      kernels: kernelSummary(device.kernelUses()),
      device: deviceLabel(device.info),
      lvsa: sparse?.settings ?? null,
      riflex: riflex?.settings ?? null,
      version: VERSION,
    };
    const written = await writeResults(paths, result, settings, signal, reporter);
    if (device.profiler) {
      await drained;
      const times = await device.profiler.report();
      const rules = device.kernelUses();
      reporter.print(profileTable(times) + ruleLines(rules), "profile", { kernels: times, rules });
    }
    const seconds = (performance.now() - started) / 1000;
    reporter.result(
      {
        ...written,
        frames: result.frameCount,
        width: result.width,
        height: result.height,
        fps: result.fps,
        seed: seedForJson(result.seed),
        seconds: Number(seconds.toFixed(3)),
        peak_bytes: device.memory().peakBytes,
        settings,
      },
      `${[written.output, written.output_latent].filter(Boolean).join(" and ")}: ${result.frameCount} frames, ` +
        `${result.width}x${result.height}, ${result.fps} fps, seed ${result.seed}, in ${formatDuration(seconds)}`,
    );
  } catch (error) {
    if (error instanceof NotFiniteError) await keepLastGood(paths, error, reporter);
    throw error;
  } finally {
    device.dispose();
  }
}

/** What was right until it went wrong: noise is not worth a file. */
async function keepLastGood(
  { output, outputLatent }: OutputPaths,
  { latents, step }: NotFiniteError,
  reporter: RunReporter,
): Promise<void> {
  if (!latents || step === 0) return;
  const path = `${outputLatent ?? output}.last-good.safetensors`;
  const when = step === undefined ? "The latents" : `The latents after step ${step}`;
  reporter.notice(`${when} are kept in ${await writeLatents(path, latents)}`);
}

function openDevice(options: GenerateCommandOptions, reporter: RunReporter): Promise<Device> {
  return createDevice({
    adapter: options.device,
    profile: options.profile,
    math: options.math,
    softwareAdapter: () => import("@lvsa/software-adapter"),
    onNotice: (line) => reporter.notice(line),
  });
}

async function writeResults(
  paths: OutputPaths,
  result: GenerationResult,
  settings: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
  reporter: RunReporter,
): Promise<{ output?: string; output_latent?: string }> {
  const output_latent =
    paths.outputLatent === undefined ? undefined : await writeLatents(paths.outputLatent, result.latents);
  if (paths.output === undefined) return output_latent === undefined ? {} : { output_latent };
  const { frames, frameCount, width, height, fps } = result;
  const metadata = { title: String(settings.prompt ?? ""), settings };
  const written = await writeVideo(paths.output, {
    frames,
    frameCount,
    width,
    height,
    fps,
    metadata,
    signal,
  });
  for (const note of written.notes) reporter.notice(note);
  return { output: written.path, ...(output_latent === undefined ? {} : { output_latent }) };
}
