/** LVSA for the family of a pipeline: through its adapter, or with the processor that Cosmos 3 has instead of one. */
import {
  type AdapterRegistry,
  type AttentionPattern,
  installLvsa,
  type LvsaConfigInput,
  type ResolvedLvsaConfig,
  resolveLvsaConfig,
} from "@lvsa/core";
import type { VideoPipeline } from "@lvsa/diffusion";

/** The clip that will run, in pixels and in tokens. */
export interface FamilyClip {
  readonly numFrames: number;
  readonly height: number;
  readonly width: number;
  readonly latentFrames: number;
  readonly patchesPerFrame: number;
}

/** What both kinds of installation have. */
export interface InstalledFamily extends Disposable {
  /** Settings of the clip in latent frames. */
  readonly resolved: ResolvedLvsaConfig;
  readonly processor: { readonly pattern: AttentionPattern | undefined };
}

/** What of a pipeline is needed; a model without its checkpoint has it too. */
export type FamilyHost = Pick<VideoPipeline, "family" | "geometry" | "transformers">;

/** Installs and says so. @throws ConfigError for an unknown family or bad settings */
export async function installFamily(
  pipeline: FamilyHost,
  registry: AdapterRegistry,
  clip: FamilyClip,
  options: { readonly config: LvsaConfigInput; readonly log: (line: string) => void },
): Promise<InstalledFamily> {
  const { numFrames, height, width, latentFrames, patchesPerFrame } = clip;
  if (pipeline.family === "cosmos3") {
    const { installCosmos3Lvsa } = await import("@lvsa/cosmos3-processor");
    const { spatialFactor, temporalFactor } = pipeline.geometry;
    const size = { numFrames, height, width, spatialFactor, temporalFactor };
    const installed = installCosmos3Lvsa(pipeline.transformers[0]!, { ...size, ...options });
    const { processor } = installed;
    return { resolved: processor.resolved, processor, [Symbol.dispose]: () => installed[Symbol.dispose]() };
  }
  const tokens = { latentFrames, patchesPerFrame };
  const installed = installLvsa(pipeline, await registry.get(pipeline.family), { ...options, clip: tokens });
  try {
    installed.processor.announce(installed.blocks, tokens);
    return {
      resolved: resolveLvsaConfig(installed.config, installed.clipGeometry(tokens)),
      processor: installed.processor,
      [Symbol.dispose]: () => installed[Symbol.dispose](),
    };
  } catch (error) {
    installed[Symbol.dispose]();
    throw error;
  }
}
