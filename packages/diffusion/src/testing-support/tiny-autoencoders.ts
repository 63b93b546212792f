/** Autoencoders of every family with few and narrow layers, for tests of tiles. */
import type { Device } from "@lvsa/runtime";
import { AutoencoderKLCogVideoX } from "../models/autoencoders/autoencoder-kl-cogvideox.js";
import { AutoencoderKLHunyuanVideo15 } from "../models/autoencoders/autoencoder-kl-hunyuan-video15.js";
import { AutoencoderKLWan } from "../models/autoencoders/autoencoder-kl-wan.js";
import type { VaeTilingOptions } from "../models/autoencoders/tiling/tile-sizes.js";
import { VaeTiling } from "../models/autoencoders/tiling/vae-tiling.js";
import { getModelClass } from "../models/model-classes.js";
import { randomWeights } from "../rehearsal/random-weights.js";

/** Of latents. */
export const CHANNELS = 4;

const wan = { dim_mult: [1, 2, 2], num_res_blocks: 1, temperal_downsample: [true, true] };
const statistics = (channels: number) => ({
  ...{ z_dim: channels, latents_mean: Array(channels).fill(0), latents_std: Array(channels).fill(1) },
});
const patches = { is_residual: true, patch_size: 2, in_channels: 12, out_channels: 12 };

/** Configurations with 4 or 8 pixels per latent cell. */
export const FAMILIES = {
  "Wan 2.1": {
    Vae: AutoencoderKLWan,
    config: { ...wan, base_dim: 8, ...statistics(CHANNELS) },
    factor: 4,
    patch: 1,
  },
  "Wan 2.2 with patches": {
    Vae: AutoencoderKLWan,
    config: { ...wan, ...patches, base_dim: 8, decoder_base_dim: 8, ...statistics(CHANNELS) },
    ...{ factor: 8, patch: 2 },
  },
  HunyuanVideo: {
    Vae: AutoencoderKLHunyuanVideo15,
    config: {
      ...{ latent_channels: CHANNELS, block_out_channels: [16, 16, 16], layers_per_block: 1 },
      spatial_compression_ratio: 4,
    },
    ...{ factor: 4, patch: 1 },
  },
  CogVideoX: {
    Vae: AutoencoderKLCogVideoX,
    config: {
      ...{
        latent_channels: CHANNELS,
        block_out_channels: [8, 8, 16],
        layers_per_block: 1,
        norm_num_groups: 4,
      },
      down_block_types: Array(3).fill("CogVideoXDownBlock3D"),
      up_block_types: Array(3).fill("CogVideoXUpBlock3D"),
    },
    ...{ factor: 4, patch: 1 },
  },
} as const;
export type Family = keyof typeof FAMILIES;
export const FAMILY_NAMES = Object.keys(FAMILIES) as Family[];

/** With random weights, and tiles of these sizes. */
export async function openTiled(device: Device, name: Family, tiling: VaeTilingOptions) {
  const { Vae, config } = FAMILIES[name];
  const definition = getModelClass(Vae.name);
  const parsed = definition.parseConfig(config);
  const component = { className: Vae.name, config: parsed, storedDType: "f32" as const };
  const vae = await Vae.load(device, randomWeights(component), parsed);
  vae.tiling = new VaeTiling(tiling, definition.tiling!(parsed));
  return vae;
}

/** Options for sizes in latent cells. */
export function tilesOf(
  factor: number,
  tile: readonly [number, number],
  stride: readonly [number, number],
): VaeTilingOptions {
  return {
    ...{ tileSampleMinHeight: tile[0] * factor, tileSampleMinWidth: tile[1] * factor },
    ...{ tileSampleStrideHeight: stride[0] * factor, tileSampleStrideWidth: stride[1] * factor },
  };
}
