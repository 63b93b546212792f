/**
 * CogVideoX, transformer and autoencoder: diffusers' names and those of the original repository (SAT). Names and their
 * counterparts: diffusers, `scripts/convert_cogvideox_to_diffusers.py`.
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

const BLOCK = "transformer_blocks.$1";

const TRANSFORMER: readonly NameRule[] = [
  [/^time_embed\.0\./, "time_embedding.linear_1."],
  [/^time_embed\.2\./, "time_embedding.linear_2."],
  [/^ofs_embed\.0\./, "ofs_embedding.linear_1."],
  [/^ofs_embed\.2\./, "ofs_embedding.linear_2."],
  [/^mixins\.patch_embed\./, "patch_embed."],
  [/^mixins\.pos_embed\.pos_embedding$/, "patch_embed.pos_embedding"],
  [/^mixins\.final_layer\.norm_final\./, "norm_out.norm."],
  [/^mixins\.final_layer\.linear\./, "proj_out."],
  [/^mixins\.final_layer\.adaLN_modulation\.1\./, "norm_out.linear."],
  [/^mixins\.adaln_layer\.query_layernorm_list\.(\d+)\./, `${BLOCK}.attn1.norm_q.`],
  [/^mixins\.adaln_layer\.key_layernorm_list\.(\d+)\./, `${BLOCK}.attn1.norm_k.`],
  [/^transformer\.final_layernorm\./, "norm_final."],
  [/^transformer\.layers\.(\d+)\.input_layernorm\./, `${BLOCK}.norm1.norm.`],
  [/^transformer\.layers\.(\d+)\.post_attention_layernorm\./, `${BLOCK}.norm2.norm.`],
  [/^transformer\.layers\.(\d+)\.attention\.dense\./, `${BLOCK}.attn1.to_out.0.`],
  [/^transformer\.layers\.(\d+)\.mlp\.dense_h_to_4h\./, `${BLOCK}.ff.net.0.proj.`],
  [/^transformer\.layers\.(\d+)\.mlp\.dense_4h_to_h\./, `${BLOCK}.ff.net.2.`],
  // Tables that the class computes, and an embedding of words that video has no use for.
  [/^mixins\.pos_embed\.(freqs_sin|freqs_cos)$/, undefined],
  [/(^|\.)(embed_tokens|position_embeddings?|word_embeddings)(\.|$)/, undefined],
];

const transformer = {
  role: "transformer",
  className: "CogVideoXTransformer3DModel",
  config: transformerConfig,
} as const;
const vae = { role: "vae", className: "AutoencoderKLCogVideoX", config: vaeConfig } as const;

export const cogVideoXKinds: readonly FileKind[] = [
  {
    ...transformer,
    title: "CogVideoX transformer",
    marks: ["patch_embed.text_proj.weight", "transformer_blocks.0.norm1.linear.weight", "norm_final.weight"],
  },
  {
    ...transformer,
    title: "CogVideoX transformer, original names",
    marks: [
      "mixins.patch_embed.text_proj.weight",
      "transformer.layers.0.attention.query_key_value.weight",
      "mixins.final_layer.linear.weight",
    ],
    rename: () => renameTransformer,
  },
  {
    ...vae,
    title: "CogVideoX autoencoder",
    marks: ["decoder.mid_block.resnets.0.norm1.norm_layer.weight", "encoder.conv_in.conv.weight"],
  },
  {
    ...vae,
    title: "CogVideoX autoencoder, original names",
    marks: ["decoder.mid.block_1.norm1.norm_layer.weight", "encoder.down.0.block.0.conv1.conv.weight"],
    rename: (shapes) => renameBy(vaeRules(countLayers(shapes, "decoder.up.#.block.0.conv1.conv.weight"))),
  },
];

const plain = renameBy(TRANSFORMER);

function renameTransformer(name: string): readonly Target[] | undefined {
  const fused = /^transformer\.layers\.(\d+)\.attention\.query_key_value\.(weight|bias)$/.exec(name);
  if (fused) {
    const at = `transformer_blocks.${fused[1]}.attn1`;
    const end = fused[2];
    return queryKeyValue([`${at}.to_q.${end}`, `${at}.to_k.${end}`, `${at}.to_v.${end}`]);
  }
  const modulation = /^mixins\.adaln_layer\.adaLN_modulations\.(\d+)\.1\.(weight|bias)$/.exec(name);
  if (!modulation) return plain(name);
  // Twelve parts: three for video and the attention, three for video and the feed-forward, then the same for text.
  const at = `transformer_blocks.${modulation[1]}`;
  return [
    { name: `${at}.norm1.linear.${modulation[2]}`, parts: { of: 12, take: [0, 1, 2, 6, 7, 8] } },
    { name: `${at}.norm2.linear.${modulation[2]}`, parts: { of: 12, take: [3, 4, 5, 9, 10, 11] } },
  ];
}

/** The original counts its decoder's levels from the outside. */
function vaeRules(levels: number): readonly NameRule[] {
  const shared: readonly NameRule[] = [
    [/^loss\./, undefined],
    [/^(encoder|decoder)\.(conv_in|conv_out|norm_out)\./, "$1.$2."],
    [/^(encoder|decoder)\.mid\.block_1\./, "$1.mid_block.resnets.0."],
    [/^(encoder|decoder)\.mid\.block_2\./, "$1.mid_block.resnets.1."],
    [
      /^encoder\.down\.(\d+)\.block\.(\d+)\.nin_shortcut\./,
      "encoder.down_blocks.$1.resnets.$2.conv_shortcut.",
    ],
    [/^encoder\.down\.(\d+)\.block\.(\d+)\./, "encoder.down_blocks.$1.resnets.$2."],
    [/^encoder\.down\.(\d+)\.downsample\./, "encoder.down_blocks.$1.downsamplers.0."],
  ];
  const decoder = Array.from({ length: levels }, (_, level): NameRule[] => {
    const at = `decoder.up_blocks.${levels - 1 - level}`;
    const up = `^decoder\\.up\\.${level}\\.`;
    return [
      [new RegExp(`${up}block\\.(\\d+)\\.nin_shortcut\\.`), `${at}.resnets.$1.conv_shortcut.`],
      [new RegExp(`${up}block\\.(\\d+)\\.`), `${at}.resnets.$1.`],
      [new RegExp(`${up}upsample\\.`), `${at}.upsamplers.0.`],
    ];
  });
  return [...shared, ...decoder.flat()];
}

/** Heads from which on the published models have rotary positions; the smaller ones have sinusoidal tables. */
const ROTARY_HEADS = 48;
/** Of the two published kinds, that which joins latent frames (1.5) was trained on larger and longer videos. */
const SIZES_15 = { sample_frames: 81, sample_height: 300, sample_width: 300 };
const PATCH_15 = 2;

function transformerConfig(shapes: TensorShapes) {
  const patches = shapes.get("patch_embed.proj.weight") ?? [];
  const is15 = patches.length === 2;
  const patch = is15 ? PATCH_15 : (patches[2] ?? 1);
  const volume = patch * patch * (is15 ? PATCH_15 : 1);
  const headDim = axis(shapes, "transformer_blocks.0.attn1.norm_q.weight", 0);
  const heads = (patches[0] ?? 0) / headDim;
  const isLearned = shapes.has("patch_embed.pos_embedding");
  return {
    _class_name: "CogVideoXTransformer3DModel",
    num_attention_heads: heads,
    attention_head_dim: headDim,
    in_channels: is15 ? (patches[1] ?? 0) / volume : (patches[1] ?? 0),
    out_channels: axis(shapes, "proj_out.weight", 0) / volume,
    time_embed_dim: axis(shapes, "time_embedding.linear_1.weight", 0),
    ofs_embed_dim: shapes.get("ofs_embedding.linear_1.weight")?.[0] ?? null,
    text_embed_dim: axis(shapes, "patch_embed.text_proj.weight", 1),
    num_layers: countLayers(shapes, "transformer_blocks.#.attn1.to_q.weight"),
    attention_bias: shapes.has("transformer_blocks.0.attn1.to_q.bias"),
    patch_size: patch,
    patch_size_t: is15 ? PATCH_15 : null,
    // The linear layer of 1.5 has a bias whatever this says; the published configurations say false.
    patch_bias: !is15 && shapes.has("patch_embed.proj.bias"),
    use_rotary_positional_embeddings: isLearned || heads >= ROTARY_HEADS,
    use_learned_positional_embeddings: isLearned,
    ...(is15 ? SIZES_15 : {}),
  };
}

function vaeConfig(shapes: TensorShapes) {
  const levels = countLayers(shapes, "encoder.down_blocks.#.resnets.0.conv1.conv.weight");
  return {
    _class_name: "AutoencoderKLCogVideoX",
    in_channels: axis(shapes, "encoder.conv_in.conv.weight", 1),
    out_channels: axis(shapes, "decoder.conv_out.conv.weight", 0),
    down_block_types: Array.from({ length: levels }, () => "CogVideoXDownBlock3D"),
    up_block_types: Array.from({ length: levels }, () => "CogVideoXUpBlock3D"),
    block_out_channels: Array.from({ length: levels }, (_, level) =>
      axis(shapes, `encoder.down_blocks.${level}.resnets.0.conv1.conv.weight`, 0),
    ),
    latent_channels: axis(shapes, "decoder.conv_in.conv.weight", 1),
    layers_per_block: countLayers(shapes, "encoder.down_blocks.0.resnets.#.conv1.conv.weight"),
  };
}
