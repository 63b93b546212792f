/** What the autoencoders of all families are besides their layers: weights, and the shapes of video and moments. */
import { concat, type Device, permute, ShapeError, type Tensor, type WeightSource } from "@lvsa/runtime";
import type { ModelDefinition } from "../definition/define-model.js";
import { ModelWeights } from "../definition/model-weights.js";
import type { ResolvedConfig } from "../definition/resolved-config.js";
import { type LoadOptions, loadParameters, type Parameters } from "../parameters.js";
import type { AutoencoderLayers } from "./autoencoder-layers.js";
import type { VaeTiling } from "./tiling/vae-tiling.js";

/** Where an autoencoder comes from: `config` is the parsed `config.json`; `options.only` may leave out one half. */
export type AutoencoderFiles = [
  device: Device,
  source: WeightSource,
  config: unknown,
  options?: LoadOptions | undefined,
];

/**
 * Checks the weights against the definition and streams them onto the GPU, for `make`, which takes them over.
 *
 * @throws ConfigError, WeightsError, AbortError
 */
export async function loadAutoencoder<
  Config extends ResolvedConfig,
  Model extends AutoencoderKL<Config, AutoencoderLayers>,
>(
  definition: ModelDefinition<Config>,
  [device, source, config, options = {}]: AutoencoderFiles,
  make: (device: Device, config: Config, parameters: Parameters) => Model,
): Promise<Model> {
  const parsed = definition.configToRun(config, "vae/config.json");
  const weights = ModelWeights.check(definition, parsed, source, options);
  const model = make(device, parsed, await loadParameters(device, weights, options));
  try {
    await model.packWeights();
    return model;
  } catch (error) {
    model.dispose();
    throw error;
  }
}

export abstract class AutoencoderKL<Config extends ResolvedConfig, Layers extends AutoencoderLayers> {
  readonly config: Config;
  /** How pipelines cut what they decode and encode into tiles (diffusers' `enable_tiling()`); undefined: not at all. */
  tiling: VaeTiling | undefined;
  protected readonly device: Device;
  protected readonly layers: Layers;

  /** Takes the layers over. See `load`. */
  constructor(device: Device, config: Config, layers: Layers) {
    this.config = config;
    this.device = device;
    this.layers = layers;
  }

  /** Pixels per latent cell on each side. */
  abstract get spatialFactor(): number;

  /** Video frames per latent frame. */
  abstract get temporalFactor(): number;

  /** For `loadAutoencoder`. */
  packWeights(): Promise<void> {
    return this.layers.packWeights();
  }

  dispose(): void {
    this.layers.dispose();
  }

  /** Video `[1, C, F, H, W]` with the channels last: `[F, H, W, C]`. */
  protected frames(video: Tensor): Tensor {
    const [, channels, F, H, W] = video.shape as [number, number, number, number, number];
    return this.device.scope(() => permute(this.device, video.reshape([channels, F, H, W]), [1, 2, 3, 0]));
  }

  /** Encoded chunks `[1, t, h, w, 2·C]` of a clip as moments `[1, 2·C, T, h, w]`. For a scope. */
  protected moments(parts: readonly Tensor[]): Tensor {
    const joined = parts.length === 1 ? parts[0]! : concat(this.device, parts, 1);
    const [, T, h, w, z] = joined.shape as [number, number, number, number, number];
    return permute(this.device, joined.reshape([T, h, w, z]), [3, 0, 1, 2]).reshape([1, z, T, h, w]);
  }
}

/** An autoencoder whose first latent frame is one video frame. */
export abstract class CausalAutoencoderKL<
  Config extends ResolvedConfig,
  Layers extends AutoencoderLayers,
> extends AutoencoderKL<Config, Layers> {
  /**
   * The frames of each latent frame of a video. `name` is the class, for the error.
   *
   * @throws ShapeError for sizes that do not divide
   */
  protected chunks(
    name: string,
    F: number,
    H: number,
    W: number,
  ): readonly { readonly start: number; readonly end: number }[] {
    const { spatialFactor, temporalFactor } = this;
    if ((F - 1) % temporalFactor || H % spatialFactor || W % spatialFactor) {
      throw new ShapeError("SHAPE_MISMATCH", `${name}: cannot encode ${F} frames of ${W}x${H}`, {
        fix: `Use ${temporalFactor}k+1 frames and sizes that ${spatialFactor} divides.`,
      });
    }
    return Array.from({ length: (F - 1) / temporalFactor + 1 }, (_, i) => ({
      start: i === 0 ? 0 : (i - 1) * temporalFactor + 1,
      end: i * temporalFactor + 1,
    }));
  }
}
