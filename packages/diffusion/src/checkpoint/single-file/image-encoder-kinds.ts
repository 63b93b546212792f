/**
 * CLIP and SigLIP image towers: transformers' names, and of CLIP those of Wan's repository (`wan/modules/clip.py`), whose
 * projection lies the other way round.
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

const V = "vision_model";

const ORIGINAL: readonly NameRule[] = [
  [/^patch_embedding\./, `${V}.embeddings.patch_embedding.`],
  [/^pre_norm\./, `${V}.pre_layrnorm.`],
  [/^post_norm\./, `${V}.post_layernorm.`],
  [/^transformer\.(\d+)\.norm([12])\./, `${V}.encoder.layers.$1.layer_norm$2.`],
  [/^transformer\.(\d+)\.attn\.proj\./, `${V}.encoder.layers.$1.self_attn.out_proj.`],
  [/^transformer\.(\d+)\.mlp\.0\./, `${V}.encoder.layers.$1.mlp.fc1.`],
  [/^transformer\.(\d+)\.mlp\.2\./, `${V}.encoder.layers.$1.mlp.fc2.`],
];

export const imageEncoderKinds: readonly FileKind[] = [
  {
    title: "CLIP image encoder",
    role: "image_encoder",
    className: "CLIPVisionModelWithProjection",
    marks: [`${V}.embeddings.class_embedding`, `${V}.encoder.layers.0.self_attn.q_proj.weight`],
    config: clipConfig,
  },
  {
    title: "CLIP image encoder, original names",
    role: "image_encoder",
    className: "CLIPVisionModelWithProjection",
    marks: ["cls_embedding", "pos_embedding", "transformer.0.attn.to_qkv.weight"],
    rename: renameOriginal,
    config: clipConfig,
  },
  {
    title: "SigLIP image encoder",
    role: "image_encoder",
    className: "SiglipVisionModel",
    marks: [`${V}.embeddings.patch_embedding.bias`, `${V}.encoder.layers.0.self_attn.q_proj.weight`],
    config: (shapes) => visionConfig(shapes, "SiglipVisionModel", 0),
  },
];

function renameOriginal(shapes: TensorShapes): (name: string) => readonly Target[] | undefined {
  const plain = renameBy(ORIGINAL);
  const [, positions = 0, width = 0] = shapes.get("pos_embedding") ?? [];
  return (name) => {
    if (name === "cls_embedding") return [{ name: `${V}.embeddings.class_embedding`, shape: [width] }];
    if (name === "pos_embedding")
      return [{ name: `${V}.embeddings.position_embedding.weight`, shape: [positions, width] }];
    if (name === "head") return [{ name: "visual_projection.weight", isTransposed: true }];
    const fused = /^transformer\.(\d+)\.attn\.to_qkv\.(weight|bias)$/.exec(name);
    if (!fused) return plain(name);
    const at = `${V}.encoder.layers.${fused[1]}.self_attn`;
    const end = fused[2];
    return queryKeyValue([`${at}.q_proj.${end}`, `${at}.k_proj.${end}`, `${at}.v_proj.${end}`]);
  };
}

function clipConfig(shapes: TensorShapes) {
  const width = axis(shapes, `${V}.embeddings.class_embedding`, 0);
  return {
    ...visionConfig(shapes, "CLIPVisionModelWithProjection", 1),
    projection_dim: axis(shapes, "visual_projection.weight", 0),
    // The towers of OpenCLIP (1280 and wider) have the exact function, OpenAI's its short form.
    hidden_act: width >= 1280 ? "gelu" : "quick_gelu",
  };
}

function visionConfig(shapes: TensorShapes, className: string, classTokens: number) {
  const [width = 0, channels = 0, patch = 0] = shapes.get(`${V}.embeddings.patch_embedding.weight`) ?? [];
  const positions = axis(shapes, `${V}.embeddings.position_embedding.weight`, 0) - classTokens;
  return {
    architectures: [className],
    hidden_size: width,
    intermediate_size: axis(shapes, `${V}.encoder.layers.0.mlp.fc1.weight`, 0),
    num_hidden_layers: countLayers(shapes, `${V}.encoder.layers.#.self_attn.q_proj.weight`),
    // No shape shows it. Small towers have heads of 64, all larger ones 16 heads.
    num_attention_heads: width < 1024 ? width / 64 : 16,
    num_channels: channels,
    image_size: pixels(Math.round(Math.sqrt(positions)), patch, classTokens === 0),
    patch_size: patch,
  };
}

/**
 * Edge of the picture. CLIP's patches fill it, and those of SigLIP's published towers too but one: 384 pixels are cut into 27
 * patches of 14, and 6 are left over. So it is a multiple of 64 where one has that many patches.
 */
function pixels(patches: number, patch: number, isSiglip: boolean): number {
  const round = Math.ceil((patches * patch) / 64) * 64;
  return isSiglip && Math.floor(round / patch) === patches ? round : patches * patch;
}
