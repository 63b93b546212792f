/** LVSA on a Cosmos 3 transformer: the processor of every layer's generation stream is swapped. */
import {
  type AttentionTarget,
  type ClipGeometry,
  ConfigError,
  checkOptionKinds,
  claimLayers,
  computeLatentFrames,
  computePatchesPerFrame,
  type GeometryRules,
  type Installation,
  installedLogLine,
  installOnAll,
  type LvsaConfigInput,
  type OptionKinds,
  parseLvsaConfig,
} from "@lvsa/core";

import {
  Cosmos3LvsaProcessor,
  type Cosmos3ProcessorOptions,
  INSTALL_KINDS,
} from "./cosmos3-lvsa-processor.js";

/** Defaults of the family, in video frames. */
export const COSMOS3_DEFAULTS = { windowSize: 12, nFirstFrames: 4 } as const satisfies LvsaConfigInput;

/** The part of `Cosmos3OmniTransformer` that is used here; without a config, patches as in the published models. */
export interface Cosmos3Transformer extends AttentionTarget {
  readonly config?: { readonly latent_patch_size: number };
  /** Latent frames the model was trained on. */
  readonly referenceLatentFrames?: number;
}

export interface Cosmos3LvsaOptions extends Omit<Cosmos3ProcessorOptions, "clip" | "config"> {
  /** Video frames of the clip that will be generated. */
  readonly numFrames: number;
  /** Its size in pixels. */
  readonly height: number;
  readonly width: number;
  /**
   * Settings in video frames, on top of `COSMOS3_DEFAULTS`. Half window and leading frames are divided by the temporal
   * factor and are at least one latent frame.
   */
  readonly config?: LvsaConfigInput;
  /** Latent frames the model was trained on. Default: as the transformer says. */
  readonly referenceLatentFrames?: number;
  /** Pixels per latent cell. Default 16. */
  readonly spatialFactor?: number;
  /** Video frames per latent frame. Default 4. */
  readonly temporalFactor?: number;
}

const OPTION_KINDS: OptionKinds<Cosmos3LvsaOptions> = {
  ...INSTALL_KINDS,
  ...{ numFrames: "any", height: "any", width: "any", referenceLatentFrames: "any" },
  ...{ spatialFactor: "any", temporalFactor: "any" },
};

export interface Cosmos3LvsaInstallation extends Installation {
  /** One for all layers. */
  readonly processor: Cosmos3LvsaProcessor;
  /** The clip in latent frames and tokens. */
  readonly clip: ClipGeometry;
}

/**
 * Makes the generation stream of every layer sparse. The understanding stream stays as it is, causal and to the byte.
 * Disposing the result brings dense attention back and frees the index buffer.
 *
 * @throws UsageError `BAD_OPTION`; ConfigError for bad settings; HookError `ADAPTER_FAMILY` for another model, `NO_LAYERS` when there is no layer to
 * take, `LAYER_CLAIMED` when one is taken already
 */
export function installCosmos3Lvsa(
  transformer: Cosmos3Transformer,
  options: Cosmos3LvsaOptions,
): Cosmos3LvsaInstallation {
  checkOptionKinds(OPTION_KINDS, options, "installCosmos3Lvsa", "misspelt");
  const { numFrames, height, width, referenceLatentFrames, spatialFactor, temporalFactor, ...rest } = options;
  const clip = clipGeometry(transformer, options);
  const config = atLeastOneLatentFrame({ ...COSMOS3_DEFAULTS, ...options.config }, clip.temporalFactor);
  const processor = new Cosmos3LvsaProcessor({ ...rest, clip, config });
  const layers = transformer.attentionModules().filter((layer) => layer.role === "self");
  const installed = installOnAll("cosmos3", [transformer], () => claimLayers(transformer, layers, processor));
  const { logLines, notes } = processor.resolved;
  for (const line of [...logLines, ...notes]) options.log?.(line);
  options.log?.(installedLogLine(installed.blocks, clip, "WebGPU"));
  return {
    blocks: installed.blocks,
    processor,
    clip,
    [Symbol.dispose]: () => {
      installed[Symbol.dispose]();
      processor.dispose();
    },
  };
}

/** Partial patches at the edge count: 720 pixels are 23 rows of 32. */
function clipGeometry(transformer: Cosmos3Transformer, options: Cosmos3LvsaOptions): ClipGeometry {
  const { numFrames, height, width, spatialFactor = 16, temporalFactor = 4 } = options;
  const { config } = transformer;
  const referenceLatentFrames = options.referenceLatentFrames ?? transformer.referenceLatentFrames;
  if (referenceLatentFrames === undefined) {
    throw new ConfigError(
      "NO_REFERENCE_FRAMES",
      "the transformer does not say what length it was trained on",
      {
        fix: "Pass referenceLatentFrames, in latent frames.",
      },
    );
  }
  const rules: GeometryRules = {
    patchSize: config?.latent_patch_size ?? 2,
    rounding: "ceil",
    referenceLatentFrames,
  };
  const host = { spatialFactor, temporalFactor, transformerConfig: {} };
  return {
    latentFrames: computeLatentFrames(numFrames, host, rules),
    patchesPerFrame: computePatchesPerFrame(height, width, host, rules),
    referenceLatentFrames,
    temporalFactor,
  };
}

function atLeastOneLatentFrame(config: LvsaConfigInput, temporalFactor: number): LvsaConfigInput {
  const { windowSize, nFirstFrames } = parseLvsaConfig(config);
  return {
    ...config,
    windowSize: Math.max(windowSize, temporalFactor),
    nFirstFrames: Math.max(nFirstFrames, temporalFactor),
  };
}
