/** Parameters of `AutoencoderKLCogVideoX` (diffusers, `autoencoder_kl_cogvideox.py`). */
import * as z from "zod";
import { layerCount, positive, powerOfTwo, size, sizes } from "../definition/config-fields.js";
import { defineModel } from "../definition/define-model.js";
import type { ParameterList } from "../definition/parameter-list.js";

const DOWN_BLOCK = "CogVideoXDownBlock3D";
const UP_BLOCK = "CogVideoXUpBlock3D";
const FOUR = [0, 0, 0, 0];
/** Residual blocks between encoder and decoder halves; fixed in the class. */
const MIDDLE_LAYERS = 2;

const schema = z.looseObject({
  in_channels: size.default(3),
  out_channels: size.default(3),
  down_block_types: z.array(z.literal(DOWN_BLOCK)).default(FOUR.map(() => DOWN_BLOCK)),
  up_block_types: z.array(z.literal(UP_BLOCK)).default(FOUR.map(() => UP_BLOCK)),
  block_out_channels: sizes.default([128, 256, 256, 512]),
  latent_channels: size.default(16),
  layers_per_block: layerCount.default(3),
  act_fn: z.string().default("silu"),
  norm_eps: positive.default(1e-6),
  norm_num_groups: size.default(32),
  temporal_compression_ratio: powerOfTwo.default(4),
  sample_height: size.default(480),
  sample_width: size.default(720),
  scaling_factor: positive.default(1.15258426),
  shift_factor: z.number().nullable().default(null),
  latents_mean: z.array(z.number()).nullable().default(null),
  latents_std: z.array(z.number()).nullable().default(null),
  force_upcast: z.boolean().default(true),
  use_quant_conv: z.boolean().default(false),
  use_post_quant_conv: z.boolean().default(false),
  invert_scale_latents: z.boolean().default(false),
});

export type AutoencoderKLCogVideoXConfig = z.infer<typeof schema>;

/** Pixels per latent cell and edge: it halves the edges once per level but the last. */
export function cogVideoXSpatialFactor(config: AutoencoderKLCogVideoXConfig): number {
  return 2 ** (config.block_out_channels.length - 1);
}

export const autoencoderKLCogVideoX = defineModel({
  className: "AutoencoderKLCogVideoX",
  library: "diffusers",
  role: "autoencoder",
  schema,
  unsupported: (config) => [
    config.use_quant_conv && "use_quant_conv true",
    config.use_post_quant_conv && "use_post_quant_conv true",
    config.act_fn !== "silu" && `act_fn ${config.act_fn}`,
  ],
  tiling: (config) => {
    const spatialFactor = cogVideoXSpatialFactor(config);
    // Half of the trained size, in whole latent cells.
    const half = (size: number) => Math.max(1, Math.floor(size / 2 / spatialFactor)) * spatialFactor;
    return {
      ...{ spatialFactor, patchSize: 1 },
      height: { tile: half(config.sample_height), overlap: 1 / 6 },
      width: { tile: half(config.sample_width), overlap: 1 / 5 },
    };
  },
  list: (model, config) => {
    encoder(model.at("encoder"), config);
    decoder(model.at("decoder"), config);
    const colours = config.out_channels;
    if (config.use_quant_conv) model.conv("quant_conv", 2 * colours, 2 * colours, [1, 1, 1]);
    if (config.use_post_quant_conv) model.conv("post_quant_conv", colours, colours, [1, 1, 1]);
  },
});

function encoder(parameters: ParameterList, config: AutoencoderKLCogVideoXConfig): void {
  const widths = config.block_out_channels;
  causalConv(parameters, "conv_in", widths[0]!, config.in_channels, 3);
  for (const [level, output] of widths.entries()) {
    const block = parameters.at(`down_blocks.${level}`);
    resnets(block, config.layers_per_block, widths[Math.max(level - 1, 0)]!, output, undefined);
    if (level < widths.length - 1) block.conv("downsamplers.0.conv", output, output, [3, 3]);
  }
  const width = widths.at(-1)!;
  resnets(parameters.at("mid_block"), MIDDLE_LAYERS, width, width, undefined);
  parameters.norm("norm_out", width);
  causalConv(parameters, "conv_out", 2 * config.latent_channels, width, 3);
}

function decoder(parameters: ParameterList, config: AutoencoderKLCogVideoXConfig): void {
  const widths = [...config.block_out_channels].reverse();
  const latents = config.latent_channels;
  causalConv(parameters, "conv_in", widths[0]!, latents, 3);
  resnets(parameters.at("mid_block"), MIDDLE_LAYERS, widths[0]!, widths[0]!, latents);
  for (const [level, output] of widths.entries()) {
    const block = parameters.at(`up_blocks.${level}`);
    resnets(block, config.layers_per_block + 1, widths[Math.max(level - 1, 0)]!, output, latents);
    if (level < widths.length - 1) block.conv("upsamplers.0.conv", output, output, [3, 3]);
  }
  norm(parameters, "norm_out", widths.at(-1)!, latents);
  causalConv(parameters, "conv_out", config.out_channels, widths.at(-1)!, 3);
}

function causalConv(
  parameters: ParameterList,
  name: string,
  outputs: number,
  inputs: number,
  edge: number,
): void {
  parameters.conv(`${name}.conv`, outputs, inputs, [edge, edge, edge]);
}

/** The decoder's norms are scaled and shifted by the latents; the encoder's are plain group norms. */
function norm(parameters: ParameterList, name: string, width: number, latents: number | undefined): void {
  if (latents === undefined) {
    parameters.norm(name, width);
    return;
  }
  parameters.norm(`${name}.norm_layer`, width);
  causalConv(parameters, `${name}.conv_y`, width, latents, 1);
  causalConv(parameters, `${name}.conv_b`, width, latents, 1);
}

function resnets(
  block: ParameterList,
  layers: number,
  first: number,
  output: number,
  latents: number | undefined,
): void {
  for (let index = 0; index < layers; index++) {
    const resnet = block.at(`resnets.${index}`);
    const input = index === 0 ? first : output;
    norm(resnet, "norm1", input, latents);
    causalConv(resnet, "conv1", output, input, 3);
    norm(resnet, "norm2", output, latents);
    causalConv(resnet, "conv2", output, output, 3);
    if (input !== output) resnet.conv("conv_shortcut", output, input, [1, 1, 1]);
  }
}
