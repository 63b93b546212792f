/** Cosmos 3's transformer. Its authors publish it under diffusers' names alone. */
import type { TensorShapes } from "../../models/definition/define-model.js";
import { axis, countLayers, type FileKind } from "./file-kind.js";

/** Latent cells of a token and edge in all published models. */
const PATCH = 2;

export const cosmos3Kinds: readonly FileKind[] = [
  {
    title: "Cosmos 3 transformer",
    role: "transformer",
    className: "Cosmos3OmniTransformer",
    marks: ["proj_in.weight", "norm_moe_gen.weight", "layers.0.self_attn.add_q_proj.weight"],
    config,
  },
];

function config(shapes: TensorShapes) {
  const attention = "layers.0.self_attn";
  const headDim = axis(shapes, `${attention}.norm_added_q.weight`, 0);
  const patchLatents = axis(shapes, "proj_in.weight", 1);
  const domains = shapes.get("action_proj_in.fc.weight");
  const width = axis(shapes, "embed_tokens.weight", 1);
  const sound = shapes.get("audio_proj_in.weight");
  const hasTextNorm = shapes.has(`${attention}.norm_q.weight`);
  return {
    _class_name: "Cosmos3OmniTransformer",
    head_dim: headDim,
    hidden_size: width,
    intermediate_size: axis(shapes, "layers.0.mlp.up_proj.weight", 0),
    latent_channel: patchLatents / (PATCH * PATCH),
    latent_patch_size: PATCH,
    num_attention_heads: axis(shapes, `${attention}.to_q.weight`, 0) / headDim,
    num_hidden_layers: countLayers(shapes, "layers.#.self_attn.to_q.weight"),
    num_key_value_heads: axis(shapes, `${attention}.to_k.weight`, 0) / headDim,
    patch_latent_dim: patchLatents,
    attention_bias: shapes.has(`${attention}.to_q.bias`),
    vocab_size: axis(shapes, "embed_tokens.weight", 0),
    // The Nemotron style has no gate, and other constants, which no shape shows.
    ...(shapes.has("layers.0.mlp.gate_proj.weight")
      ? { hidden_act: "silu" }
      : { hidden_act: "relu2", rms_norm_eps: 1e-5, rope_theta: 100_000_000 }),
    qk_norm_for_text: hasTextNorm,
    use_und_k_norm_for_gen: shapes.has(`${attention}.k_norm_und_for_gen.weight`),
    action_gen: domains !== undefined,
    ...(domains ? { num_embodiment_domains: domains[0], action_dim: domains[1]! / width } : {}),
    sound_gen: sound !== undefined,
    ...(sound ? { sound_dim: sound[1] } : {}),
  };
}
