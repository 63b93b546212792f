/** LVSA for the family of a pipeline: through its adapter, or with the processor that Cosmos 3 has instead of one. */
import {
  AdapterRegistry,
  installLvsa,
  type LvsaConfigInput,
  type ResolvedLvsaConfig,
  resolveLvsaConfig,
} from "@lvsa/core";
import type { VideoPipeline, VideoSizeOptions } from "@lvsa/diffusion";

export function createAdapterRegistry(): AdapterRegistry {
  const registry = new AdapterRegistry();
  registry.register("wan", async () => (await import("@lvsa/adapter-wan")).createWanAdapter());
  registry.register("hunyuan", async () => (await import("@lvsa/adapter-hunyuan")).createHunyuanAdapter());
  registry.register("cogvideox", async () =>
    (await import("@lvsa/adapter-cogvideox")).createCogVideoXAdapter(),
  );
  return registry;
}

export interface InstalledLvsa extends Disposable {
  /** Settings of the clip, in latent frames. */
  readonly resolved: ResolvedLvsaConfig;
}

/** @throws ConfigError for an unknown family or bad settings */
export async function installOnPipeline(
  pipeline: VideoPipeline,
  config: LvsaConfigInput,
  size: VideoSizeOptions,
  log: (line: string) => void,
): Promise<InstalledLvsa> {
  const { numFrames, height, width } = pipeline.videoSize(size);
  if (pipeline.family === "cosmos3") {
    const { installCosmos3Lvsa } = await import("@lvsa/cosmos3-processor");
    const { spatialFactor, temporalFactor } = pipeline.geometry;
    const clip = { numFrames, height, width, spatialFactor, temporalFactor };
    const installed = installCosmos3Lvsa(pipeline.transformers[0]!, { ...clip, config, log });
    return {
      resolved: installed.processor.resolved,
      [Symbol.dispose]: () => installed[Symbol.dispose](),
    };
  }
  const clip = pipeline.clip(numFrames, height, width);
  const adapter = await createAdapterRegistry().get(pipeline.family);
  const installed = installLvsa(pipeline, adapter, { config, log, clip });
  try {
    return {
      resolved: resolveLvsaConfig(installed.config, installed.clipGeometry(clip)),
      [Symbol.dispose]: () => installed[Symbol.dispose](),
    };
  } catch (error) {
    installed[Symbol.dispose]();
    throw error;
  }
}
