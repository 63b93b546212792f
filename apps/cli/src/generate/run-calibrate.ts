/** `lvsa calibrate`: one generation without a cache, of which the ratios for MagCache are kept. */
import { Engine } from "@lvsa/diffusion";
import { inspectCheckpoint, requireWholeWeights } from "@lvsa/diffusion/catalog";
import { deviceLabel, throwIfAborted } from "@lvsa/runtime";
import type { CalibrateCommandOptions } from "../options/calibrate-options.js";
import { type GenerationFlags, generationOptions, withFlags } from "../options/generation-flags.js";
import { chooseCheckpoint, withBundledDefaults } from "./checkpoint.js";
import { openLoras } from "./loras.js";
import { writeMagRatios } from "./mag-ratios-file.js";
import { openDevice } from "./open-device.js";
import type { RunReporter } from "./reporter.js";

export async function runCalibrate(
  given: CalibrateCommandOptions,
  reporter: RunReporter,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now();
  const checkpoint = await chooseCheckpoint(given);
  const options: CalibrateCommandOptions & GenerationFlags = checkpoint.isBundled
    ? withBundledDefaults(given)
    : given;
  const inspection = await inspectCheckpoint(checkpoint.folder);
  requireWholeWeights(inspection);
  const device = await openDevice({ ...options, profile: false }, reporter);
  try {
    throwIfAborted(signal, "the run");
    const loras = await openLoras(options);
    using engine = await Engine.open(checkpoint.folder, { device, precision: options.precision, loras });
    reporter.notice(`${deviceLabel(device.info)}: measuring ${checkpoint.name}`);
    const result = await engine.generate({
      ...generationOptions(options),
      prompt: options.prompt ?? "",
      stepCache: { name: "calibrate" },
      signal,
      onStage: (report) => reporter.stage(report),
      onStep: (report) => reporter.step(report),
    });
    for (const note of result.notes) reporter.notice(withFlags(note));
    const ratios = result.stepCache!.magRatios!;
    const { step_cache: _, ...settings } = result.settings;
    const output = await writeMagRatios(options.output, {
      ...{ model: checkpoint.name, settings },
      positive: [...ratios.positive],
      ...(ratios.negative ? { negative: [...ratios.negative] } : {}),
    });
    const seconds = Number(((performance.now() - started) / 1000).toFixed(3));
    reporter.result(
      { output, steps: ratios.positive.length, seconds },
      `${output}: ratios of ${ratios.positive.length} steps`,
    );
  } finally {
    device.dispose();
  }
}
