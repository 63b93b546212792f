/**
 * Entry `@lvsa/hooks/families`: LVSA for a pipeline of any family, where the program itself switches it on. The family's
 * package is loaded when it is needed, so that a bundle starts with none of them.
 */
import {
  AdapterRegistry,
  type AttentionPattern,
  checkOptionKinds,
  type HostPipeline,
  installLvsa,
  type LvsaConfigInput,
  type ResolvedLvsaConfig,
  resolveLvsaConfig,
} from "@lvsa/core";

/** The clip that will run. */
export interface FamilyClip {
  /** Video frames. */
  readonly numFrames: number;
  /** Pixels. */
  readonly height: number;
  readonly width: number;
  readonly latentFrames: number;
  /** Tokens of one latent frame. */
  readonly patchesPerFrame: number;
}

export interface InstallFamilyOptions {
  /** The user's settings, in video frames; underneath lie the checkpoint's and the family's. */
  readonly config: LvsaConfigInput;
  readonly log: (line: string) => void;
}

/** LVSA in charge of a pipeline's attention. Disposing it brings the dense path back and frees the index buffers. */
export interface InstalledFamily extends Disposable {
  /** Settings of the clip in latent frames. */
  readonly resolved: ResolvedLvsaConfig;
  readonly processor: { readonly pattern: AttentionPattern | undefined };
}

/** A new registry of the families that work through an adapter; Cosmos 3 has a processor of its own instead. */
export function familyAdapters(): AdapterRegistry {
  const registry = new AdapterRegistry();
  registry.register("wan", async () => (await import("@lvsa/adapter-wan")).createWanAdapter());
  registry.register("hunyuan", async () => (await import("@lvsa/adapter-hunyuan")).createHunyuanAdapter());
  registry.register("cogvideox", async () =>
    (await import("@lvsa/adapter-cogvideox")).createCogVideoXAdapter(),
  );
  return registry;
}

/**
 * Installs LVSA through the family's adapter, or with the processor of Cosmos 3, and says so in the log.
 *
 * @throws UsageError `BAD_OPTION`; ConfigError `UNKNOWN_ADAPTER` for another family, and for bad settings; HookError as `installLvsa` does
 */
export async function installFamily(
  pipeline: HostPipeline,
  clip: FamilyClip,
  options: InstallFamilyOptions,
): Promise<InstalledFamily> {
  checkOptionKinds({ config: "object", log: "function" }, options, "installFamily");
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
  const adapter = await familyAdapters().get(pipeline.family);
  const installed = installLvsa(pipeline, adapter, { ...options, clip: tokens });
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

/** The settings that shaped a clip, by their names in files of settings, for its metadata. @param density attended share */
export function lvsaRecord(resolved: ResolvedLvsaConfig, density: number): Readonly<Record<string, unknown>> {
  return {
    window_size: resolved.window,
    n_first_frames: resolved.nFirstFrames,
    key_frame_interval: resolved.keyframeInterval,
    rotate_keyframes: resolved.rotateKeyframes,
    // Of an interval that was given nothing is scaled.
    sparsity_scale: resolved.autoKeyframes ? resolved.sparsityScale : null,
    reference_latent_frames: resolved.referenceLatentFrames,
    latent_frames: resolved.frames,
    attended_fraction: density,
  };
}
