/**
 * HunyuanVideo 1.5, transformer and autoencoder: diffusers' names, those of the original repository, and ComfyUI's own, whose
 * blocks have queries, keys and values in one. Names and their counterparts: diffusers,
 * `scripts/convert_hunyuan_video1_5_to_diffusers.py`.
 */
import type { TensorShapes } from "../../models/definition/define-model.js";
import {
  axis,
  countLayers,
  type FileKind,
  type NameRule,
  queryKeyValue,
  renameBy,
  type Target,
} from "./file-kind.js";

const REFINER = "context_embedder.token_refiner.refiner_blocks.$1";
const BLOCK = "transformer_blocks.$1";

const TRANSFORMER: readonly NameRule[] = [
  [/^time_in\.mlp\.0\./, "time_embed.timestep_embedder.linear_1."],
  [/^time_in\.mlp\.2\./, "time_embed.timestep_embedder.linear_2."],
  [/^time_r_in\.mlp\.0\./, "time_embed.timestep_embedder_r.linear_1."],
  [/^time_r_in\.mlp\.2\./, "time_embed.timestep_embedder_r.linear_2."],
  [/^txt_in\.t_embedder\.mlp\.0\./, "context_embedder.time_text_embed.timestep_embedder.linear_1."],
  [/^txt_in\.t_embedder\.mlp\.2\./, "context_embedder.time_text_embed.timestep_embedder.linear_2."],
  [/^txt_in\.c_embedder\.linear_([12])\./, "context_embedder.time_text_embed.text_embedder.linear_$1."],
  [/^txt_in\.input_embedder\./, "context_embedder.proj_in."],
  [/^txt_in\.individual_token_refiner\.blocks\.(\d+)\.norm([12])\./, `${REFINER}.norm$2.`],
  [/^txt_in\.individual_token_refiner\.blocks\.(\d+)\.self_attn_proj\./, `${REFINER}.attn.to_out.0.`],
  [/^txt_in\.individual_token_refiner\.blocks\.(\d+)\.mlp\.fc1\./, `${REFINER}.ff.net.0.proj.`],
  [/^txt_in\.individual_token_refiner\.blocks\.(\d+)\.mlp\.fc2\./, `${REFINER}.ff.net.2.`],
  [/^txt_in\.individual_token_refiner\.blocks\.(\d+)\.adaLN_modulation\.1\./, `${REFINER}.norm_out.linear.`],
  [/^byt5_in\.layernorm\./, "context_embedder_2.norm."],
  [/^byt5_in\.fc([123])\./, "context_embedder_2.linear_$1."],
  [/^vision_in\.proj\.0\./, "image_embedder.norm_in."],
  [/^vision_in\.proj\.1\./, "image_embedder.linear_1."],
  [/^vision_in\.proj\.3\./, "image_embedder.linear_2."],
  [/^vision_in\.proj\.4\./, "image_embedder.norm_out."],
  [/^img_in\.proj\./, "x_embedder.proj."],
  [/^cond_type_embedding\./, "cond_type_embed."],
  [/^double_blocks\.(\d+)\.img_mod\.linear\./, `${BLOCK}.norm1.linear.`],
  [/^double_blocks\.(\d+)\.txt_mod\.linear\./, `${BLOCK}.norm1_context.linear.`],
  [/^double_blocks\.(\d+)\.img_attn_([qkv])\./, `${BLOCK}.attn.to_$2.`],
  [/^double_blocks\.(\d+)\.img_attn_([qk])_norm\./, `${BLOCK}.attn.norm_$2.`],
  [/^double_blocks\.(\d+)\.img_attn_proj\./, `${BLOCK}.attn.to_out.0.`],
  [/^double_blocks\.(\d+)\.txt_attn_([qkv])\./, `${BLOCK}.attn.add_$2_proj.`],
  [/^double_blocks\.(\d+)\.txt_attn_([qk])_norm\./, `${BLOCK}.attn.norm_added_$2.`],
  [/^double_blocks\.(\d+)\.txt_attn_proj\./, `${BLOCK}.attn.to_add_out.`],
  [/^double_blocks\.(\d+)\.img_mlp\.fc1\./, `${BLOCK}.ff.net.0.proj.`],
  [/^double_blocks\.(\d+)\.img_mlp\.fc2\./, `${BLOCK}.ff.net.2.`],
  [/^double_blocks\.(\d+)\.txt_mlp\.fc1\./, `${BLOCK}.ff_context.net.0.proj.`],
  [/^double_blocks\.(\d+)\.txt_mlp\.fc2\./, `${BLOCK}.ff_context.net.2.`],
  [/^final_layer\.linear\./, "proj_out."],
];

/** From ComfyUI's names to the original ones; what no rule touches is the same in both. */
const COMFY: readonly (readonly [RegExp, string])[] = [
  [/^(time_in|time_r_in|txt_in\.t_embedder)\.in_layer\./, "$1.mlp.0."],
  [/^(time_in|time_r_in|txt_in\.t_embedder)\.out_layer\./, "$1.mlp.2."],
  [/^txt_in\.c_embedder\.in_layer\./, "txt_in.c_embedder.linear_1."],
  [/^txt_in\.c_embedder\.out_layer\./, "txt_in.c_embedder.linear_2."],
  [/\.(img|txt)_mod\.lin\./, ".$1_mod.linear."],
  [/\.(img|txt|self)_attn\.(qkv|proj)\./, ".$1_attn_$2."],
  [/\.(img|txt)_attn\.norm\.query_norm\.(scale|weight)$/, ".$1_attn_q_norm.weight"],
  [/\.(img|txt)_attn\.norm\.key_norm\.(scale|weight)$/, ".$1_attn_k_norm.weight"],
  [/^(double_blocks\.\d+\.(?:img|txt)_mlp|txt_in\.individual.*\.mlp)\.0\./, "$1.fc1."],
  [/^(double_blocks\.\d+\.(?:img|txt)_mlp|txt_in\.individual.*\.mlp)\.2\./, "$1.fc2."],
];

const VAE: readonly NameRule[] = [
  [/^(encoder|decoder)\.(conv_in|conv_out)\.conv\./, "$1.$2.conv."],
  [/^(encoder|decoder)\.norm_out\./, "$1.norm_out."],
  [/^(encoder|decoder)\.mid\.block_1\./, "$1.mid_block.resnets.0."],
  [/^(encoder|decoder)\.mid\.block_2\./, "$1.mid_block.resnets.1."],
  [/^(encoder|decoder)\.mid\.attn_1\.([qkv])\./, "$1.mid_block.attentions.0.to_$2."],
  [/^(encoder|decoder)\.mid\.attn_1\./, "$1.mid_block.attentions.0."],
  [/^encoder\.down\.(\d+)\.block\.(\d+)\.nin_shortcut\./, "encoder.down_blocks.$1.resnets.$2.conv_shortcut."],
  [/^encoder\.down\.(\d+)\.block\.(\d+)\./, "encoder.down_blocks.$1.resnets.$2."],
  [/^encoder\.down\.(\d+)\.downsample\./, "encoder.down_blocks.$1.downsamplers.0."],
  [/^decoder\.up\.(\d+)\.block\.(\d+)\.nin_shortcut\./, "decoder.up_blocks.$1.resnets.$2.conv_shortcut."],
  [/^decoder\.up\.(\d+)\.block\.(\d+)\./, "decoder.up_blocks.$1.resnets.$2."],
  [/^decoder\.up\.(\d+)\.upsample\./, "decoder.up_blocks.$1.upsamplers.0."],
];

const transformer = {
  role: "transformer",
  className: "HunyuanVideo15Transformer3DModel",
  config: transformerConfig,
} as const;
const vae = { role: "vae", className: "AutoencoderKLHunyuanVideo15", config: vaeConfig } as const;

export const hunyuanKinds: readonly FileKind[] = [
  {
    ...transformer,
    title: "HunyuanVideo 1.5 transformer",
    marks: ["x_embedder.proj.weight", "context_embedder_2.norm.weight", "cond_type_embed.weight"],
  },
  ...["img_attn_q", "img_attn_qkv", "img_attn.qkv"].map((queries) => ({
    ...transformer,
    title: "HunyuanVideo 1.5 transformer, original names",
    // Only version 1.5 has all three of them: a video's patches, glyphs, and pictures.
    marks: [
      ...["img_in.proj.weight", "byt5_in.fc1.weight", "vision_in.proj.0.weight"],
      `double_blocks.0.${queries}.weight`,
    ],
    rename: () => renameTransformer,
  })),
  {
    ...vae,
    title: "HunyuanVideo 1.5 autoencoder",
    marks: ["encoder.mid_block.attentions.0.norm.gamma", "encoder.mid_block.resnets.0.conv1.conv.weight"],
  },
  {
    ...vae,
    title: "HunyuanVideo 1.5 autoencoder, original names",
    marks: ["encoder.mid.attn_1.norm.gamma", "decoder.up.0.block.0.norm1.gamma"],
    rename: () => renameBy(VAE),
  },
];

const plain = renameBy(TRANSFORMER);

function renameTransformer(given: string): readonly Target[] | undefined {
  const name = COMFY.reduce((text, [from, to]) => text.replace(from, to), given);
  const block = /^double_blocks\.(\d+)\.(img|txt)_attn_qkv\.(weight|bias)$/.exec(name);
  if (block) {
    const [, index, stream, end] = block;
    const at = `transformer_blocks.${index}.attn`;
    const part = (letter: string) =>
      `${at}.${stream === "img" ? `to_${letter}` : `add_${letter}_proj`}.${end}`;
    return queryKeyValue([part("q"), part("k"), part("v")]);
  }
  const fused = /^txt_in\.individual_token_refiner\.blocks\.(\d+)\.self_attn_qkv\.(weight|bias)$/.exec(name);
  if (fused) {
    const at = `${REFINER.replace("$1", fused[1]!)}.attn`;
    const end = fused[2];
    return queryKeyValue([`${at}.to_q.${end}`, `${at}.to_k.${end}`, `${at}.to_v.${end}`]);
  }
  const last = /^final_layer\.adaLN_modulation\.1\.(weight|bias)$/.exec(name);
  // The original has the shift in front, the class the scale.
  if (last) return [{ name: `norm_out.linear.${last[1]}`, parts: { of: 2, take: [1, 0] } }];
  return plain(name);
}

function transformerConfig(shapes: TensorShapes) {
  const [dim = 0, inputs = 0, patchT = 1, patch = 1] = shapes.get("x_embedder.proj.weight") ?? [];
  const headDim = axis(shapes, "transformer_blocks.0.attn.norm_q.weight", 0);
  return {
    _class_name: "HunyuanVideo15Transformer3DModel",
    in_channels: inputs,
    out_channels: axis(shapes, "proj_out.weight", 0) / (patchT * patch * patch),
    num_attention_heads: dim / headDim,
    attention_head_dim: headDim,
    num_layers: countLayers(shapes, "transformer_blocks.#.attn.to_q.weight"),
    num_refiner_layers: countLayers(
      shapes,
      "context_embedder.token_refiner.refiner_blocks.#.attn.to_q.weight",
    ),
    mlp_ratio: axis(shapes, "transformer_blocks.0.ff.net.0.proj.weight", 0) / dim,
    patch_size: patch,
    patch_size_t: patchT,
    text_embed_dim: axis(shapes, "context_embedder.proj_in.weight", 1),
    text_embed_2_dim: axis(shapes, "context_embedder_2.norm.weight", 0),
    image_embed_dim: axis(shapes, "image_embedder.norm_in.weight", 0),
    use_meanflow: shapes.has("time_embed.timestep_embedder_r.linear_1.weight"),
    task_type: "t2v",
  };
}

function vaeConfig(shapes: TensorShapes) {
  const levels = countLayers(shapes, "encoder.down_blocks.#.resnets.0.conv1.conv.weight");
  const widths = Array.from({ length: levels }, (_, level) =>
    axis(shapes, `encoder.down_blocks.${level}.resnets.0.conv1.conv.weight`, 0),
  );
  const halvings = widths.flatMap((width, level) => {
    const part = shapes.get(`encoder.down_blocks.${level}.downsamplers.0.conv.conv.weight`)?.[0];
    // Eight neighbours become channels where time is halved too, four where it is not.
    return part === undefined ? [] : [{ isTemporal: Math.round((widths[level + 1] ?? width) / part) === 8 }];
  });
  return {
    _class_name: "AutoencoderKLHunyuanVideo15",
    in_channels: axis(shapes, "encoder.conv_in.conv.weight", 1),
    out_channels: axis(shapes, "decoder.conv_out.conv.weight", 0),
    latent_channels: axis(shapes, "decoder.conv_in.conv.weight", 1),
    block_out_channels: widths,
    layers_per_block: countLayers(shapes, "encoder.down_blocks.0.resnets.#.conv1.conv.weight"),
    spatial_compression_ratio: 2 ** halvings.length,
    temporal_compression_ratio: 2 ** halvings.filter(({ isTemporal }) => isTemporal).length,
  };
}
