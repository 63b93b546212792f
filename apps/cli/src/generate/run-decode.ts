/** From latents of an earlier run to a video. */
import { Engine } from "@lvsa/diffusion";
import { inspectCheckpoint, requireWholeWeights } from "@lvsa/diffusion/catalog";
import { deviceLabel, throwIfAborted } from "@lvsa/runtime";
import { UsageError } from "../exit-codes.js";
import { withFlags } from "../options/generation-flags.js";
import type { DecodeCommandOptions, ResumeCommandOptions } from "../options/run-file-options.js";
import { tilingOf, typedTiling } from "../options/tiling-options.js";
import { shellWord } from "../output/shell-word.js";
import { VERSION } from "../version.js";
import { chooseCheckpoint } from "./checkpoint.js";
import { openDevice } from "./open-device.js";
import { checkSpace, claimOutputs, type OutputPaths, outputPaths } from "./output-check.js";
import { formatDuration } from "./progress-line.js";
import type { RunReporter } from "./reporter.js";
import { fingerprint, type KeptRun, readKeptRun } from "./run-record.js";
import { writeResults } from "./write-results.js";

/** @throws UsageError for a run that is not done with denoising, or where nothing says which checkpoint it is */
export async function runDecode(
  options: DecodeCommandOptions & Pick<ResumeCommandOptions, "precision">,
  reporter: RunReporter,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now();
  const kept = requireLatents(await readKeptRun(options.file), options.file);
  const { record, latents } = kept;
  const model = options.model === undefined ? record?.model : { model: options.model };
  if (model === undefined) {
    throw new UsageError(
      "--model: the file does not say which checkpoint its latents are of",
      "Give its folder.",
    );
  }
  const checkpoint = await chooseCheckpoint(model);
  const { folder } = checkpoint;
  const inspection = await inspectCheckpoint(folder);
  requireWholeWeights(inspection);
  if (record && record.checkpoint !== fingerprint(inspection)) {
    reporter.notice(
      `note: the latents were made with another checkpoint, ${Object.values(record.model).join(", ")}`,
    );
  }
  const paths: OutputPaths = await outputPaths({ output: options.output ?? record?.output });
  await using _claim = await claimOutputs(paths, options);
  throwIfAborted(signal, "the run");

  const device = await openDevice(
    { device: options.device ?? "auto", math: options.math ?? "auto", profile: false },
    reporter,
  );
  try {
    const vaeTiling = tilingOf(options) ?? typedTiling(record?.options);
    using engine = await Engine.open(folder, {
      device,
      ...(vaeTiling ? { vaeTiling } : {}),
      precision: options.precision ?? "auto",
      registered: false,
    });
    const { pipeline } = engine;
    const { family, geometry, defaults } = pipeline;
    const [, ...sizes] = latents.shape;
    const [rows, columns] = sizes.slice(-2) as [number, number];
    const latentFrames = (family === "cogvideox" ? sizes[0] : sizes[1])!;
    const clip = {
      numFrames:
        options.numFrames ?? record?.clip.numFrames ?? (latentFrames - 1) * geometry.temporalFactor + 1,
      height: options.height ?? record?.clip.height ?? rows * geometry.spatialFactor,
      width: options.width ?? record?.clip.width ?? columns * geometry.spatialFactor,
      fps: options.fps ?? record?.clip.fps ?? defaults.fps,
    };
    await checkSpace(paths, clip);
    reporter.notice(
      `${deviceLabel(device.info)}: decoding ${clip.width}x${clip.height}, ${clip.numFrames} frames`,
    );
    const onStage = (report: Parameters<RunReporter["stage"]>[0]) => reporter.stage(report);
    const decoded = await engine.decode({ ...clip, latents, signal, onStage });
    for (const note of decoded.notes) reporter.notice(withFlags(note));
    const own = { ...decoded.settings, fps: clip.fps };
    const settings = { model: checkpoint.name, version: VERSION, ...record?.settings, ...own };
    const results = { ...decoded, latents, settings, latentsMetadata: {} };
    const written = await writeResults(paths, results, {
      ...{ overwrite: options.overwrite, mp4: options.mp4 },
      ...{ signal, reporter },
    });
    const seconds = (performance.now() - started) / 1000;
    const { frameCount: frames, width, height, fps } = decoded;
    reporter.result(
      { ...written, frames, width, height, fps, seconds: Number(seconds.toFixed(3)), settings },
      `${written.output}: ${frames} frames, ${width}x${height}, ${fps} fps, decoded in ${formatDuration(seconds)}`,
    );
  } finally {
    device.dispose();
  }
}

function requireLatents(kept: KeptRun, file: string): Extract<KeptRun, { kind: "latents" }> {
  if (kept.kind === "latents") return kept;
  const { step, timesteps } = kept.state;
  throw new UsageError(
    `${file} is a run after step ${step} of ${timesteps.length}: its latents are still noise`,
    `Go on with it: lvsa resume ${shellWord(file)}`,
  );
}
