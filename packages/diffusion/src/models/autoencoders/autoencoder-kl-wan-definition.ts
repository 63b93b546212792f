/**
 * Parameters of `AutoencoderKLWan` (diffusers, `models/autoencoders/autoencoder_kl_wan.py`), both flavours: Wan 2.1
 * and the residual one of Wan 2.2 TI2V-5B and Cosmos 3.
 */
import * as z from "zod";
import { layerCount, size, sizes } from "../definition/config-fields.js";
import { defineModel } from "../definition/define-model.js";
import type { ParameterList } from "../definition/parameter-list.js";
import { WAN21_LATENTS_MEAN, WAN21_LATENTS_STD } from "./wan-latent-statistics.js";

const schema = z
  .looseObject({
    base_dim: size.default(96),
    decoder_base_dim: size.nullable().default(null),
    z_dim: size.default(16),
    dim_mult: sizes.default([1, 2, 4, 4]),
    num_res_blocks: layerCount.default(2),
    attn_scales: z.array(z.number()).default([]),
    temperal_downsample: z.array(z.boolean()).default([false, true, true]),
    dropout: z.number().default(0),
    latents_mean: z.array(z.number()).default([...WAN21_LATENTS_MEAN]),
    latents_std: z
      .array(z.number().refine((value) => value !== 0, "a 0 can not be divided by"))
      .default([...WAN21_LATENTS_STD]),
    is_residual: z.boolean().default(false),
    in_channels: size.default(3),
    out_channels: size.default(3),
    patch_size: size.nullable().default(null),
    scale_factor_temporal: size.nullish(),
    scale_factor_spatial: size.nullish(),
  })
  .superRefine((config, context) => {
    for (const key of ["latents_mean", "latents_std"] as const) {
      const { length } = config[key];
      if (length === config.z_dim) continue;
      const message = `holds ${length} numbers, expected z_dim = ${config.z_dim}`;
      context.addIssue({ code: "custom", path: [key], message });
    }
    const downs = config.dim_mult.length - 1;
    if (config.temperal_downsample.length < downs) {
      const message = `holds ${config.temperal_downsample.length} entries, expected ${downs}`;
      context.addIssue({ code: "custom", path: ["temperal_downsample"], message });
    }
    const colours = 3 * (config.patch_size ?? 1) ** 2;
    for (const key of ["in_channels", "out_channels"] as const) {
      if (config[key] === colours) continue;
      const message = `is ${config[key]}, of pixels in patches of ${config.patch_size ?? 1} there are ${colours}`;
      context.addIssue({ code: "custom", path: [key], message });
    }
    for (const [key, made] of Object.entries(factorsOf(config))) {
      const stated = config[key as keyof Factors];
      if (stated === undefined || stated === null || stated === made) continue;
      context.addIssue({ code: "custom", path: [key], message: `is ${stated}, the layers make ${made}` });
    }
  })
  // What the layers make; with the default layers 4 and 8, as in diffusers.
  .transform((config) => ({ ...config, ...factorsOf(config) }));

interface Factors {
  readonly scale_factor_temporal: number;
  readonly scale_factor_spatial: number;
}

/** Video frames and pixels under one latent: every level but the last halves the edges, and frames where it says so. */
function factorsOf(config: {
  readonly dim_mult: readonly number[];
  readonly temperal_downsample: readonly boolean[];
  readonly patch_size: number | null;
}): Factors {
  const downs = config.dim_mult.length - 1;
  const halvings = config.temperal_downsample.slice(0, downs).filter(Boolean).length;
  return {
    scale_factor_temporal: 2 ** halvings,
    scale_factor_spatial: 2 ** downs * (config.patch_size ?? 1),
  };
}

export type AutoencoderKLWanConfig = z.infer<typeof schema>;

/** Whether it is the autoencoder of Wan 2.2 TI2V-5B and Cosmos 3: residual levels, pixels in patches. */
export function isWan22Autoencoder(config: AutoencoderKLWanConfig): boolean {
  return config.is_residual;
}

export const autoencoderKLWan = defineModel({
  className: "AutoencoderKLWan",
  library: "diffusers",
  role: "autoencoder",
  schema,
  unsupported: ({ attn_scales }) => [attn_scales.length > 0 && `attn_scales [${attn_scales.join(", ")}]`],
  tiling: ({ scale_factor_spatial: spatialFactor, patch_size }) => {
    const side = { tile: 256, stride: 192 };
    return { spatialFactor, patchSize: patch_size ?? 1, height: side, width: side };
  },
  list: (model, config) => {
    encoder(model.at("encoder"), config);
    conv(model, "quant_conv", 2 * config.z_dim, 2 * config.z_dim, 1);
    conv(model, "post_quant_conv", config.z_dim, config.z_dim, 1);
    decoder(model.at("decoder"), config);
  },
});

function encoder(parameters: ParameterList, config: AutoencoderKLWanConfig): void {
  const widths = [1, ...config.dim_mult].map((multiple) => multiple * config.base_dim);
  const levels = config.dim_mult.length;
  conv(parameters, "conv_in", widths[0]!, config.in_channels, 3);
  // The 2.1 flavour counts every layer, the residual one every level.
  let position = 0;
  let scale = 1;
  for (let level = 0; level < levels; level++) {
    const output = widths[level + 1]!;
    const last = level === levels - 1;
    const temporal = config.temperal_downsample[level] === true;
    const residual = config.is_residual ? parameters.at(`down_blocks.${level}`) : undefined;
    let input = widths[level]!;
    for (let index = 0; index < config.num_res_blocks; index++) {
      resnet(residual?.at(`resnets.${index}`) ?? parameters.at(`down_blocks.${position++}`), input, output);
      if (!residual && config.attn_scales.includes(scale)) {
        attention(parameters.at(`down_blocks.${position++}`), output);
      }
      input = output;
    }
    if (last) continue;
    const target = residual?.at("downsampler") ?? parameters.at(`down_blocks.${position++}`);
    target.conv("resample.1", output, output, [3, 3]);
    if (temporal) target.conv("time_conv", output, output, [3, 1, 1]);
    scale /= 2;
  }
  const width = widths.at(-1)!;
  middle(parameters.at("mid_block"), width);
  gamma(parameters, "norm_out", width);
  conv(parameters, "conv_out", 2 * config.z_dim, width, 3);
}

function decoder(parameters: ParameterList, config: AutoencoderKLWanConfig): void {
  const base = config.decoder_base_dim ?? config.base_dim;
  const multiples = [...config.dim_mult].reverse();
  const widths = [multiples[0]!, ...multiples].map((multiple) => multiple * base);
  const temporal = [...config.temperal_downsample].reverse();
  conv(parameters, "conv_in", widths[0]!, config.z_dim, 3);
  middle(parameters.at("mid_block"), widths[0]!);
  for (let level = 0; level < multiples.length; level++) {
    const block = parameters.at(`up_blocks.${level}`);
    const output = widths[level + 1]!;
    // The upsampling of the 2.1 flavour halves the channels.
    let input = level > 0 && !config.is_residual ? widths[level]! / 2 : widths[level]!;
    for (let index = 0; index <= config.num_res_blocks; index++) {
      resnet(block.at(`resnets.${index}`), input, output);
      input = output;
    }
    if (level === multiples.length - 1) continue;
    const target = block.at(config.is_residual ? "upsampler" : "upsamplers.0");
    target.conv("resample.1", config.is_residual ? output : output / 2, output, [3, 3]);
    if (temporal[level]) target.conv("time_conv", 2 * output, output, [3, 1, 1]);
  }
  const width = widths.at(-1)!;
  gamma(parameters, "norm_out", width);
  conv(parameters, "conv_out", config.out_channels, width, 3);
}

function conv(parameters: ParameterList, name: string, outputs: number, inputs: number, edge: number): void {
  parameters.conv(name, outputs, inputs, [edge, edge, edge]);
}

function gamma(parameters: ParameterList, name: string, width: number): void {
  parameters.tensor(`${name}.gamma`, [width, 1, 1, 1]);
}

function resnet(parameters: ParameterList, input: number, output: number): void {
  gamma(parameters, "norm1", input);
  conv(parameters, "conv1", output, input, 3);
  gamma(parameters, "norm2", output);
  conv(parameters, "conv2", output, output, 3);
  if (input !== output) conv(parameters, "conv_shortcut", output, input, 1);
}

function attention(parameters: ParameterList, width: number): void {
  parameters.tensor("norm.gamma", [width, 1, 1]);
  parameters.conv("to_qkv", 3 * width, width, [1, 1]);
  parameters.conv("proj", width, width, [1, 1]);
}

function middle(parameters: ParameterList, width: number): void {
  resnet(parameters.at("resnets.0"), width, width);
  attention(parameters.at("attentions.0"), width);
  resnet(parameters.at("resnets.1"), width, width);
}
