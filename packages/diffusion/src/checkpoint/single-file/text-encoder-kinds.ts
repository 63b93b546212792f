/**
 * T5, UMT5 and the text part of Qwen2.5-VL: transformers' names, those of llama.cpp's GGUF files, and of UMT5 the ones of
 * Wan's repository. Names of llama.cpp: its `gguf-py/gguf/tensor_mapping.py`.
 */
import type { TensorShapes } from "../../models/definition/define-model.js";
import { axis, countLayers, type FileKind, type NameRule, renameBy } from "./file-kind.js";

const SELF = "encoder.block.$1.layer.0.SelfAttention";
const FEED = "encoder.block.$1.layer.1.DenseReluDense";

const ORIGINAL_UMT5: readonly NameRule[] = [
  [/^token_embedding\./, "shared."],
  [/^norm\./, "encoder.final_layer_norm."],
  [/^blocks\.(\d+)\.attn\.([qkvo])\./, `${SELF}.$2.`],
  [/^blocks\.(\d+)\.pos_embedding\.embedding\./, `${SELF}.relative_attention_bias.`],
  [/^blocks\.(\d+)\.norm1\./, "encoder.block.$1.layer.0.layer_norm."],
  [/^blocks\.(\d+)\.ffn\.gate\.0\./, `${FEED}.wi_0.`],
  [/^blocks\.(\d+)\.ffn\.fc1\./, `${FEED}.wi_1.`],
  [/^blocks\.(\d+)\.ffn\.fc2\./, `${FEED}.wo.`],
  [/^blocks\.(\d+)\.norm2\./, "encoder.block.$1.layer.1.layer_norm."],
];

const LLAMA_T5: readonly NameRule[] = [
  [/^token_embd\./, "shared."],
  [/^enc\.output_norm\./, "encoder.final_layer_norm."],
  [/^enc\.blk\.(\d+)\.attn_([qkvo])\./, `${SELF}.$2.`],
  [/^enc\.blk\.(\d+)\.attn_rel_b\./, `${SELF}.relative_attention_bias.`],
  [/^enc\.blk\.(\d+)\.attn_norm\./, "encoder.block.$1.layer.0.layer_norm."],
  [/^enc\.blk\.(\d+)\.ffn_gate\./, `${FEED}.wi_0.`],
  [/^enc\.blk\.(\d+)\.ffn_up\./, `${FEED}.wi_1.`],
  [/^enc\.blk\.(\d+)\.ffn_down\./, `${FEED}.wo.`],
  [/^enc\.blk\.(\d+)\.ffn_norm\./, "encoder.block.$1.layer.1.layer_norm."],
];

const LLAMA_QWEN: readonly NameRule[] = [
  [/^token_embd\./, "embed_tokens."],
  [/^output_norm\./, "norm."],
  [/^output\./, undefined],
  [/^blk\.(\d+)\.attn_([qkv])\./, "layers.$1.self_attn.$2_proj."],
  [/^blk\.(\d+)\.attn_output\./, "layers.$1.self_attn.o_proj."],
  [/^blk\.(\d+)\.ffn_(gate|up|down)\./, "layers.$1.mlp.$2_proj."],
  [/^blk\.(\d+)\.attn_norm\./, "layers.$1.input_layernorm."],
  [/^blk\.(\d+)\.ffn_norm\./, "layers.$1.post_attention_layernorm."],
];

const SELF_0 = "encoder.block.0.layer.0.SelfAttention";
const t5 = { role: "text_encoder", className: "T5EncoderModel", config: t5Config } as const;
const qwen = { role: "text_encoder", className: "Qwen2_5_VLTextModel", config: qwenConfig } as const;

export const textEncoderKinds: readonly FileKind[] = [
  {
    ...t5,
    title: "T5 or UMT5 encoder",
    marks: [`${SELF_0}.q.weight`, "encoder.final_layer_norm.weight"],
  },
  {
    ...t5,
    title: "UMT5 encoder, original names",
    marks: ["token_embedding.weight", "blocks.0.attn.q.weight", "blocks.0.pos_embedding.embedding.weight"],
    rename: () => renameBy(ORIGINAL_UMT5),
  },
  {
    ...t5,
    title: "T5 or UMT5 encoder, names of llama.cpp",
    marks: ["token_embd.weight", "enc.blk.0.attn_q.weight", "enc.output_norm.weight"],
    rename: () => renameBy(LLAMA_T5),
  },
  {
    ...qwen,
    title: "Qwen2.5-VL, text part",
    marks: ["embed_tokens.weight", "layers.0.self_attn.q_proj.bias", "layers.0.mlp.gate_proj.weight"],
  },
  {
    ...qwen,
    title: "Qwen2.5-VL, text part, names of llama.cpp",
    marks: ["token_embd.weight", "blk.0.attn_q.bias", "blk.0.ffn_gate.weight"],
    rename: () => renameBy(LLAMA_QWEN),
  },
];

function t5Config(shapes: TensorShapes) {
  const embedding = shapes.has("shared.weight") ? "shared.weight" : "encoder.embed_tokens.weight";
  const bias = `${SELF_0}.relative_attention_bias.weight`;
  const heads = axis(shapes, bias, 1);
  const feed = "encoder.block.0.layer.1.DenseReluDense";
  const isGated = shapes.has(`${feed}.wi_1.weight`);
  // Only UMT5 has a bias of its own in every layer.
  const isUmt5 = shapes.has("encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight");
  return {
    architectures: [isUmt5 ? "UMT5EncoderModel" : "T5EncoderModel"],
    model_type: isUmt5 ? "umt5" : "t5",
    vocab_size: axis(shapes, embedding, 0),
    d_model: axis(shapes, embedding, 1),
    d_kv: axis(shapes, `${SELF_0}.q.weight`, 0) / heads,
    d_ff: axis(shapes, `${feed}.${isGated ? "wi_0" : "wi"}.weight`, 0),
    num_layers: countLayers(shapes, "encoder.block.#.layer.0.SelfAttention.q.weight"),
    num_heads: heads,
    relative_attention_num_buckets: axis(shapes, bias, 0),
    feed_forward_proj: isGated ? "gated-gelu" : "relu",
  };
}

/** Width of a head in all Qwen2.5 models. */
const QWEN_HEAD_DIM = 128;

function qwenConfig(shapes: TensorShapes) {
  const width = axis(shapes, "embed_tokens.weight", 1);
  return {
    architectures: ["Qwen2_5_VLTextModel"],
    vocab_size: axis(shapes, "embed_tokens.weight", 0),
    hidden_size: width,
    intermediate_size: axis(shapes, "layers.0.mlp.gate_proj.weight", 0),
    num_hidden_layers: countLayers(shapes, "layers.#.self_attn.q_proj.weight"),
    num_attention_heads: width / QWEN_HEAD_DIM,
    num_key_value_heads: axis(shapes, "layers.0.self_attn.k_proj.weight", 0) / QWEN_HEAD_DIM,
    rms_norm_eps: 1e-6,
  };
}
