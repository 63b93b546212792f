/** Parameters of `AutoencoderKLHunyuanVideo15` (diffusers, `autoencoder_kl_hunyuanvideo15.py`). */
import * as z from "zod";
import { layerCount, positive, powerOfTwo, size, sizes } from "../definition/config-fields.js";
import { defineModel } from "../definition/define-model.js";
import type { ParameterList } from "../definition/parameter-list.js";

const schema = z.looseObject({
  in_channels: size.default(3),
  out_channels: size.default(3),
  latent_channels: size.default(32),
  block_out_channels: sizes.default([128, 256, 512, 1024, 1024]),
  layers_per_block: layerCount.default(2),
  spatial_compression_ratio: powerOfTwo.default(16),
  temporal_compression_ratio: powerOfTwo.default(4),
  downsample_match_channel: z.boolean().default(true),
  upsample_match_channel: z.boolean().default(true),
  scaling_factor: positive.default(1.03682),
});

export type AutoencoderKLHunyuanVideo15Config = z.infer<typeof schema>;

export const autoencoderKLHunyuanVideo15 = defineModel({
  className: "AutoencoderKLHunyuanVideo15",
  library: "diffusers",
  role: "autoencoder",
  schema,
  tiling: ({ spatial_compression_ratio: spatialFactor }) => {
    const side = { tile: 256, overlap: 1 / 4 };
    return { spatialFactor, patchSize: 1, height: side, width: side };
  },
  list: (model, config) => {
    encoder(model.at("encoder"), config);
    decoder(model.at("decoder"), config);
  },
});

function encoder(parameters: ParameterList, config: AutoencoderKLHunyuanVideo15Config): void {
  const widths = config.block_out_channels;
  const spatial = Math.log2(config.spatial_compression_ratio);
  const firstTemporal = Math.log2(
    Math.floor(config.spatial_compression_ratio / config.temporal_compression_ratio),
  );
  causalConv(parameters, "conv_in", widths[0]!, config.in_channels);
  let input = widths[0]!;
  for (const [level, output] of widths.entries()) {
    const block = parameters.at(`down_blocks.${level}`);
    resnets(block, config.layers_per_block, input, output);
    input = output;
    if (level >= spatial) continue;
    const next = config.downsample_match_channel ? (widths[level + 1] ?? output) : output;
    // Space (and time) become channels: the convolution makes one part of them.
    causalConv(block, "downsamplers.0.conv", Math.floor(next / (level >= firstTemporal ? 8 : 4)), output);
    input = next;
  }
  middle(parameters.at("mid_block"), widths.at(-1)!);
  gamma(parameters, "norm_out", widths.at(-1)!);
  causalConv(parameters, "conv_out", 2 * config.latent_channels, widths.at(-1)!);
}

function decoder(parameters: ParameterList, config: AutoencoderKLHunyuanVideo15Config): void {
  const widths = [...config.block_out_channels].reverse();
  const spatial = Math.log2(config.spatial_compression_ratio);
  const temporal = Math.log2(config.temporal_compression_ratio);
  causalConv(parameters, "conv_in", widths[0]!, config.latent_channels);
  middle(parameters.at("mid_block"), widths[0]!);
  let input = widths[0]!;
  for (const [level, output] of widths.entries()) {
    const block = parameters.at(`up_blocks.${level}`);
    resnets(block, config.layers_per_block + 1, input, output);
    input = output;
    if (level >= spatial && level >= temporal) continue;
    const next = config.upsample_match_channel ? (widths[level + 1] ?? output) : output;
    causalConv(block, "upsamplers.0.conv", next * (level < temporal ? 8 : 4), output);
    input = next;
  }
  gamma(parameters, "norm_out", widths.at(-1)!);
  causalConv(parameters, "conv_out", config.out_channels, widths.at(-1)!);
}

function causalConv(parameters: ParameterList, name: string, outputs: number, inputs: number): void {
  parameters.conv(`${name}.conv`, outputs, inputs, [3, 3, 3]);
}

function gamma(parameters: ParameterList, name: string, width: number): void {
  parameters.tensor(`${name}.gamma`, [width, 1, 1, 1]);
}

function resnets(block: ParameterList, layers: number, input: number, output: number): void {
  for (let index = 0; index < layers; index++) {
    resnet(block.at(`resnets.${index}`), index === 0 ? input : output, output);
  }
}

function resnet(parameters: ParameterList, input: number, output: number): void {
  gamma(parameters, "norm1", input);
  causalConv(parameters, "conv1", output, input);
  gamma(parameters, "norm2", output);
  causalConv(parameters, "conv2", output, output);
  if (input !== output) parameters.conv("conv_shortcut", output, input, [1, 1, 1]);
}

function middle(parameters: ParameterList, width: number): void {
  resnet(parameters.at("resnets.0"), width, width);
  const attention = parameters.at("attentions.0");
  gamma(attention, "norm", width);
  for (const name of ["to_q", "to_k", "to_v", "proj_out"]) attention.conv(name, width, width, [1, 1, 1]);
  resnet(parameters.at("resnets.1"), width, width);
}
