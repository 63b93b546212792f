/**
 * Wan's autoencoders, of 2.1 (16 channels) and 2.2 (48): diffusers' names and those of the original repository. Names and
 * their counterparts: diffusers, `convert_wan_vae_to_diffusers` and `scripts/convert_wan_to_diffusers.py`.
 */
import {
  WAN21_LATENTS_MEAN,
  WAN21_LATENTS_STD,
  WAN22_LATENTS_MEAN,
  WAN22_LATENTS_STD,
} from "../../models/autoencoders/wan-latent-statistics.js";
import type { TensorShapes } from "../../models/definition/define-model.js";
import { axis, countLayers, type FileKind, type Target } from "./file-kind.js";

/** Pictures have so many channels before they are cut into patches. */
const COLOURS = 3;

const common = { role: "vae", className: "AutoencoderKLWan", config } as const;

export const wanVaeKinds: readonly FileKind[] = [
  {
    ...common,
    title: "Wan autoencoder",
    marks: ["post_quant_conv.weight", "decoder.mid_block.attentions.0.to_qkv.weight"],
  },
  {
    ...common,
    title: "Wan autoencoder, original names",
    marks: ["conv1.weight", "conv2.weight", "decoder.conv1.weight", "decoder.middle.1.to_qkv.weight"],
    rename: (shapes) => {
      const perLevel = layersPerLevel(shapes);
      return (name) => {
        const renamed = rename(name, perLevel);
        return renamed === undefined ? undefined : [{ name: renamed } satisfies Target];
      };
    },
  },
];

/** Layers of a level of the flat decoder: its upsampling is the last of them. */
function layersPerLevel(shapes: TensorShapes): number {
  for (let index = 0; index < shapes.size; index++) {
    if (shapes.has(`decoder.upsamples.${index}.resample.1.weight`)) return index + 1;
  }
  return 1;
}

/** Inside of a residual block, by its place in the sequence. */
const RESIDUAL: Readonly<Record<string, string>> = {
  ...{ "residual.0": "norm1", "residual.2": "conv1", "residual.3": "norm2", "residual.6": "conv2" },
  shortcut: "conv_shortcut",
};
const ENDS: Readonly<Record<string, string>> = {
  ...{ conv1: "conv_in", "head.0": "norm_out", "head.2": "conv_out" },
  ...{
    "middle.0": "mid_block.resnets.0",
    "middle.1": "mid_block.attentions.0",
    "middle.2": "mid_block.resnets.1",
  },
};

function rename(name: string, perLevel: number): string | undefined {
  const outer = /^conv([12])\.(weight|bias)$/.exec(name);
  if (outer) return `${outer[1] === "1" ? "quant_conv" : "post_quant_conv"}.${outer[2]}`;
  const half = /^(encoder|decoder)\.(.+)$/.exec(name);
  if (!half) return undefined;
  const [, side, rest] = half as unknown as [string, string, string];
  const end = /^(conv1|head\.[02]|middle\.[012])\.(.+)$/.exec(rest);
  if (end) return `${side}.${ENDS[end[1]!]}.${inner(end[2]!)}`;
  const nested = /^(?:down|up)samples\.(\d+)\.(?:down|up)samples\.(\d+)\.(.+)$/.exec(rest);
  if (nested) {
    const [, level, index, tail] = nested as unknown as [string, string, string, string];
    const blocks = side === "encoder" ? "down_blocks" : "up_blocks";
    const sampler = side === "encoder" ? "downsampler" : "upsampler";
    return `${side}.${blocks}.${level}.${isResidual(tail) ? `resnets.${index}` : sampler}.${inner(tail)}`;
  }
  const flat = /^(?:down|up)samples\.(\d+)\.(.+)$/.exec(rest);
  if (!flat) return undefined;
  const [, position, tail] = flat as unknown as [string, string, string];
  if (side === "encoder") return `encoder.down_blocks.${position}.${inner(tail)}`;
  const level = Math.floor(Number(position) / perLevel);
  const layer = isResidual(tail) ? `resnets.${Number(position) % perLevel}` : "upsamplers.0";
  return `decoder.up_blocks.${level}.${layer}.${inner(tail)}`;
}

function isResidual(tail: string): boolean {
  return /^(residual|shortcut)\./.test(tail);
}

function inner(tail: string): string {
  const found = /^(residual\.[0236]|shortcut)\.(.+)$/.exec(tail);
  return found ? `${RESIDUAL[found[1]!]}.${found[2]}` : tail;
}

function config(shapes: TensorShapes) {
  const base = axis(shapes, "encoder.conv_in.weight", 0);
  const isResidualClass = shapes.has("encoder.down_blocks.0.resnets.0.conv1.weight");
  const firstEncoder = isResidualClass ? "encoder.down_blocks.0.resnets.0" : "encoder.down_blocks.0";
  const firstMultiple = axis(shapes, `${firstEncoder}.conv1.weight`, 0) / base;
  const decoderBase = axis(shapes, "decoder.conv_out.weight", 1) / firstMultiple;
  const levels = countLayers(shapes, "decoder.up_blocks.#.resnets.0.conv1.weight");
  const fromDecoder = Array.from({ length: levels }, (_, i) => levels - 1 - i);
  const sampler = isResidualClass ? "upsampler" : "upsamplers.0";
  const outputs = axis(shapes, "decoder.conv_out.weight", 0);
  const patch = Math.sqrt(outputs / COLOURS);
  const latents = axis(shapes, "post_quant_conv.weight", 0);
  const temporal = fromDecoder
    .slice(1)
    .map((level) => shapes.has(`decoder.up_blocks.${level}.${sampler}.time_conv.weight`));
  return {
    _class_name: "AutoencoderKLWan",
    base_dim: base,
    decoder_base_dim: decoderBase === base ? null : decoderBase,
    z_dim: latents,
    dim_mult: fromDecoder.map(
      (level) => axis(shapes, `decoder.up_blocks.${level}.resnets.0.conv1.weight`, 0) / decoderBase,
    ),
    num_res_blocks: countLayers(shapes, "decoder.up_blocks.0.resnets.#.conv1.weight") - 1,
    attn_scales: [],
    temperal_downsample: temporal,
    is_residual: isResidualClass,
    in_channels: axis(shapes, "encoder.conv_in.weight", 1),
    out_channels: outputs,
    patch_size: patch === 1 ? null : patch,
    scale_factor_temporal: 2 ** temporal.filter(Boolean).length,
    scale_factor_spatial: 2 ** (levels - 1) * patch,
    // No file of weights holds them; the published autoencoders have one set for each number of channels.
    ...(latents === WAN22_LATENTS_MEAN.length
      ? { latents_mean: WAN22_LATENTS_MEAN, latents_std: WAN22_LATENTS_STD }
      : { latents_mean: WAN21_LATENTS_MEAN, latents_std: WAN21_LATENTS_STD }),
  };
}
