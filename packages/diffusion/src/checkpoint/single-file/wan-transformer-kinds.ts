/**
 * Wan's transformers: diffusers' names and those of the original repository, which ComfyUI keeps too. Names and their
 * counterparts: diffusers, `loaders/single_file_utils.py`, `convert_wan_transformer_to_diffusers`.
 */
import type { TensorShapes } from "../../models/definition/define-model.js";
import { axis, countLayers, type FileKind, type NameRule, renameBy } from "./file-kind.js";

/** Width of a head in all Wan models. */
const HEAD_DIM = 128;

const RULES: readonly NameRule[] = [
  [/^head\.modulation$/, "scale_shift_table"],
  [/^head\.head\./, "proj_out."],
  [/^patch_embedding\./, "patch_embedding."],
  [/^time_embedding\.0\./, "condition_embedder.time_embedder.linear_1."],
  [/^time_embedding\.2\./, "condition_embedder.time_embedder.linear_2."],
  [/^text_embedding\.0\./, "condition_embedder.text_embedder.linear_1."],
  [/^text_embedding\.2\./, "condition_embedder.text_embedder.linear_2."],
  [/^time_projection\.1\./, "condition_embedder.time_proj."],
  [/^img_emb\.proj\.0\./, "condition_embedder.image_embedder.norm1."],
  [/^img_emb\.proj\.1\./, "condition_embedder.image_embedder.ff.net.0.proj."],
  [/^img_emb\.proj\.3\./, "condition_embedder.image_embedder.ff.net.2."],
  [/^img_emb\.proj\.4\./, "condition_embedder.image_embedder.norm2."],
  [/^img_emb\.emb_pos$/, "condition_embedder.image_embedder.pos_embed"],
  [/^blocks\.(\d+)\.modulation$/, "blocks.$1.scale_shift_table"],
  // The class numbers its norms in the order in which they work.
  [/^blocks\.(\d+)\.norm3\./, "blocks.$1.norm2."],
  [/^blocks\.(\d+)\.norm2\./, "blocks.$1.norm3."],
  [/^blocks\.(\d+)\.self_attn\.([qkv])\./, "blocks.$1.attn1.to_$2."],
  [/^blocks\.(\d+)\.self_attn\.o\./, "blocks.$1.attn1.to_out.0."],
  [/^blocks\.(\d+)\.self_attn\.norm_([qk])\./, "blocks.$1.attn1.norm_$2."],
  [/^blocks\.(\d+)\.cross_attn\.([qkv])\./, "blocks.$1.attn2.to_$2."],
  [/^blocks\.(\d+)\.cross_attn\.o\./, "blocks.$1.attn2.to_out.0."],
  [/^blocks\.(\d+)\.cross_attn\.norm_([qk])\./, "blocks.$1.attn2.norm_$2."],
  [/^blocks\.(\d+)\.cross_attn\.([kv])_img\./, "blocks.$1.attn2.add_$2_proj."],
  [/^blocks\.(\d+)\.cross_attn\.norm_([qk])_img\./, "blocks.$1.attn2.norm_added_$2."],
  [/^blocks\.(\d+)\.ffn\.0\./, "blocks.$1.ffn.net.0.proj."],
  [/^blocks\.(\d+)\.ffn\.2\./, "blocks.$1.ffn.net.2."],
];

const common = {
  role: "transformer",
  className: "WanTransformer3DModel",
  config,
} as const;

export const wanTransformerKinds: readonly FileKind[] = [
  {
    ...common,
    title: "Wan transformer",
    marks: ["patch_embedding.weight", "condition_embedder.time_proj.weight", "blocks.0.attn2.to_q.weight"],
  },
  {
    ...common,
    title: "Wan transformer, original names",
    marks: ["patch_embedding.weight", "head.modulation", "blocks.0.cross_attn.q.weight"],
    rename: () => renameBy(RULES),
  },
];

function config(shapes: TensorShapes) {
  const [dim = 0, inputs = 0, ...patch] = shapes.get("patch_embedding.weight") ?? [];
  const volume = patch.reduce((a, b) => a * b, 1);
  const image = "condition_embedder.image_embedder";
  const optional = (name: string, index: number) => shapes.get(name)?.[index] ?? null;
  return {
    _class_name: "WanTransformer3DModel",
    patch_size: patch,
    num_attention_heads: dim / HEAD_DIM,
    attention_head_dim: HEAD_DIM,
    in_channels: inputs,
    out_channels: axis(shapes, "proj_out.weight", 0) / volume,
    text_dim: axis(shapes, "condition_embedder.text_embedder.linear_1.weight", 1),
    freq_dim: axis(shapes, "condition_embedder.time_embedder.linear_1.weight", 1),
    ffn_dim: axis(shapes, "blocks.0.ffn.net.0.proj.weight", 0),
    num_layers: countLayers(shapes, "blocks.#.attn1.to_q.weight"),
    cross_attn_norm: shapes.has("blocks.0.norm2.weight"),
    image_dim: optional(`${image}.norm1.weight`, 0),
    added_kv_proj_dim: optional("blocks.0.attn2.add_k_proj.weight", 1),
    pos_embed_seq_len: optional(`${image}.pos_embed`, 1),
  };
}
