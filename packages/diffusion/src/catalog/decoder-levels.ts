/** Resolution levels of an autoencoder's decoder, as far as its memory goes. */
import type { AutoencoderKLCogVideoXConfig } from "./classes/autoencoder-kl-cogvideox.js";
import type { AutoencoderKLHunyuanVideo15Config } from "./classes/autoencoder-kl-hunyuan-video15.js";
import type { AutoencoderKLWanConfig } from "./classes/autoencoder-kl-wan.js";
import type { ResolvedConfig } from "./model-class.js";

export interface DecoderLevel {
  /** Cells per latent cell and edge. */
  readonly spatial: number;
  /** Frames per latent frame. */
  readonly temporal: number;
  /** Channels in and out of the level's residual blocks. */
  readonly input: number;
  readonly output: number;
  /** Residual blocks with two causal convolutions each. */
  readonly resnets: number;
}

export interface DecoderShape {
  readonly levels: readonly DecoderLevel[];
  /** Latent frames that run through the decoder at a time. */
  readonly latentFramesAtOnce: number;
  /** The layers go through them frame by frame: what is inside of a block is one frame large. */
  readonly framesApart?: true;
}

/** Undefined for an autoencoder that the catalog does not know. */
export function decoderShape(
  className: string,
  config: ResolvedConfig,
  latentFrames: number,
): DecoderShape | undefined {
  switch (className) {
    case "AutoencoderKLWan":
      return wan(config as AutoencoderKLWanConfig);
    case "AutoencoderKLHunyuanVideo15":
      return hunyuan(config as AutoencoderKLHunyuanVideo15Config);
    case "AutoencoderKLCogVideoX":
      return cogVideoX(config as AutoencoderKLCogVideoXConfig, latentFrames);
    default:
      return undefined;
  }
}

function wan(config: AutoencoderKLWanConfig): DecoderShape {
  const base = config.decoder_base_dim ?? config.base_dim;
  const widths = [...config.dim_mult].reverse().map((multiple) => multiple * base);
  const temporal = [...config.temperal_downsample].reverse();
  return {
    latentFramesAtOnce: 1,
    levels: stack(widths, config.num_res_blocks + 1, (level) => ({
      spatial: true,
      temporal: temporal[level] === true,
    })).map((one, level) =>
      // The upsampling of the 2.1 flavour halves the channels.
      config.is_residual || level === 0 ? one : { ...one, input: one.input / 2 },
    ),
  };
}

function hunyuan(config: AutoencoderKLHunyuanVideo15Config): DecoderShape {
  const widths = [...config.block_out_channels].reverse();
  return {
    latentFramesAtOnce: 1,
    levels: stack(widths, config.layers_per_block + 1, (level) => ({
      spatial: level < Math.log2(config.spatial_compression_ratio),
      temporal: level < Math.log2(config.temporal_compression_ratio),
    })),
  };
}

function cogVideoX(config: AutoencoderKLCogVideoXConfig, latentFrames: number): DecoderShape {
  const widths = [...config.block_out_channels].reverse();
  return {
    // Two; of an odd number the first chunk takes one more.
    latentFramesAtOnce: Math.min(latentFrames, 2 + (latentFrames % 2)),
    framesApart: true,
    levels: stack(widths, config.layers_per_block + 1, (level) => ({
      spatial: true,
      temporal: level < Math.floor(Math.log2(config.temporal_compression_ratio)),
    })),
  };
}

/** @param upsampling what follows each level but the last */
function stack(
  widths: readonly number[],
  resnets: number,
  upsampling: (level: number) => { readonly spatial: boolean; readonly temporal: boolean },
): DecoderLevel[] {
  let spatial = 1;
  let temporal = 1;
  return widths.map((output, level) => {
    const found = { spatial, temporal, input: widths[Math.max(level - 1, 0)]!, output, resnets };
    const next = upsampling(level);
    if (next.spatial) spatial *= 2;
    if (next.temporal) temporal *= 2;
    return found;
  });
}
