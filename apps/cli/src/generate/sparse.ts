/** `--lvsa`: installs the adapter of the model's family, prints the log lines and the masks. */
import { maskText, PatternController } from "@lvsa/core";
import type { VideoPipeline } from "@lvsa/diffusion";
import { type FamilyClip, installFamily, lvsaRecord } from "@lvsa/hooks/families";
import type { GenerateCommandOptions } from "../options/generate-options.js";
import { lvsaConfigOf } from "../options/lvsa-options.js";
import type { RunReporter } from "./reporter.js";

export interface SparseRun extends Disposable {
  /** For metadata. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Call after each denoising step. */
  afterStep(index: number): void;
}

/** @throws ConfigError for an unknown family or bad settings */
export async function installSparse(
  pipeline: VideoPipeline,
  options: GenerateCommandOptions,
  clip: FamilyClip,
  reporter: RunReporter,
): Promise<SparseRun> {
  const installed = await installFamily(pipeline, clip, {
    config: lvsaConfigOf(options),
    log: (line) => reporter.log(line),
  });
  const { processor, resolved } = installed;
  try {
    const { pattern } = new PatternController(resolved);
    if (options.showMask) reporter.print(maskText(pattern, { style: "wide" }), "mask");
    if (options.showMaskCompact === "once") reporter.print(maskText(pattern, { style: "compact" }), "mask");
    return {
      settings: lvsaRecord(resolved, pattern.density),
      afterStep: (index) => {
        if (options.showMaskCompact !== "step" || !processor.pattern) return;
        const text = maskText(processor.pattern, { style: "compact" });
        reporter.print(`\n[LVSA-WINDOW] step ${index}:\n${text}`, "mask");
      },
      [Symbol.dispose]: () => installed[Symbol.dispose](),
    };
  } catch (error) {
    installed[Symbol.dispose]();
    throw error;
  }
}
