/**
 * Names that a transformer's modules have in the model's own repository, where diffusers renamed them. LoRA files use
 * either. Sources: diffusers `scripts/convert_wan_to_diffusers.py`, `scripts/convert_hunyuan_video1_5_to_diffusers.py`.
 */

/** Rows of a matrix: part `[index, count]` of equal parts. */
export type RowPart = readonly [index: number, count: number];

export interface OriginalName {
  readonly name: string;
  /** Which rows of the original module are those of ours, where it is fused or in another order; default: all. */
  readonly source?: RowPart;
  /** Which of our rows they are; default: all. */
  readonly target?: RowPart;
}

type Rename = readonly [pattern: RegExp, ...originals: (string | readonly [string, RowPart, RowPart?])[]];

/** The original names of a diffusers module of a family; none where diffusers kept the original's. */
export function originalNames(family: string, module: string): readonly OriginalName[] {
  for (const [pattern, ...originals] of RENAMES[family] ?? []) {
    if (!pattern.test(module)) continue;
    return originals.map((original) => {
      const [text, source, target] = typeof original === "string" ? [original] : original;
      const name = module.replace(pattern, text);
      return { name, ...(source ? { source } : {}), ...(target ? { target } : {}) };
    });
  }
  return [];
}

const WAN: readonly Rename[] = [
  ...(["q", "k", "v"] as const).flatMap((letter): Rename[] => [
    [new RegExp(`^(blocks\\.\\d+)\\.attn1\\.to_${letter}$`), `$1.self_attn.${letter}`],
    [new RegExp(`^(blocks\\.\\d+)\\.attn2\\.to_${letter}$`), `$1.cross_attn.${letter}`],
  ]),
  [/^(blocks\.\d+)\.attn1\.to_out\.0$/, "$1.self_attn.o"],
  [/^(blocks\.\d+)\.attn2\.to_out\.0$/, "$1.cross_attn.o"],
  [/^(blocks\.\d+)\.attn2\.add_([kv])_proj$/, "$1.cross_attn.$2_img"],
  [/^(blocks\.\d+)\.attn2\.norm_added_k$/, "$1.cross_attn.norm_k_img"],
  [/^(blocks\.\d+)\.attn1\.(norm_[qk])$/, "$1.self_attn.$2"],
  [/^(blocks\.\d+)\.attn2\.(norm_[qk])$/, "$1.cross_attn.$2"],
  [/^(blocks\.\d+)\.norm2$/, "$1.norm3"],
  [/^(blocks\.\d+)\.ffn\.net\.0\.proj$/, "$1.ffn.0"],
  [/^(blocks\.\d+)\.ffn\.net\.2$/, "$1.ffn.2"],
  [/^(blocks\.\d+)\.scale_shift_table$/, "$1.modulation"],
  [/^scale_shift_table$/, "head.modulation"],
  [/^proj_out$/, "head.head"],
  [/^condition_embedder\.(text|time)_embedder\.linear_1$/, "$1_embedding.0"],
  [/^condition_embedder\.(text|time)_embedder\.linear_2$/, "$1_embedding.2"],
  [/^condition_embedder\.time_proj$/, "time_projection.1"],
  [/^condition_embedder\.image_embedder\.norm1$/, "img_emb.proj.0"],
  [/^condition_embedder\.image_embedder\.ff\.net\.0\.proj$/, "img_emb.proj.1"],
  [/^condition_embedder\.image_embedder\.ff\.net\.2$/, "img_emb.proj.3"],
  [/^condition_embedder\.image_embedder\.norm2$/, "img_emb.proj.4"],
];

/** Version 1.5 has queries, keys and values apart in the blocks; LoRAs of version 1.0 have them fused. */
const HUNYUAN: readonly Rename[] = [
  ...(["q", "k", "v"] as const).flatMap((letter, part): Rename[] => [
    [
      new RegExp(`^transformer_blocks(\\.\\d+)\\.attn\\.to_${letter}$`),
      `double_blocks$1.img_attn_${letter}`,
      ["double_blocks$1.img_attn_qkv", [part, 3]],
    ],
    [
      new RegExp(`^transformer_blocks(\\.\\d+)\\.attn\\.add_${letter}_proj$`),
      `double_blocks$1.txt_attn_${letter}`,
      ["double_blocks$1.txt_attn_qkv", [part, 3]],
    ],
    [
      new RegExp(`^context_embedder\\.token_refiner\\.refiner_blocks(\\.\\d+)\\.attn\\.to_${letter}$`),
      ["txt_in.individual_token_refiner.blocks$1.self_attn_qkv", [part, 3]],
    ],
  ]),
  [/^transformer_blocks(\.\d+)\.attn\.to_out\.0$/, "double_blocks$1.img_attn_proj"],
  [/^transformer_blocks(\.\d+)\.attn\.to_add_out$/, "double_blocks$1.txt_attn_proj"],
  [/^transformer_blocks(\.\d+)\.attn\.norm_([qk])$/, "double_blocks$1.img_attn_$2_norm"],
  [/^transformer_blocks(\.\d+)\.attn\.norm_added_([qk])$/, "double_blocks$1.txt_attn_$2_norm"],
  [/^transformer_blocks(\.\d+)\.norm1\.linear$/, "double_blocks$1.img_mod.linear"],
  [/^transformer_blocks(\.\d+)\.norm1_context\.linear$/, "double_blocks$1.txt_mod.linear"],
  [/^transformer_blocks(\.\d+)\.ff\.net\.0\.proj$/, "double_blocks$1.img_mlp.fc1"],
  [/^transformer_blocks(\.\d+)\.ff\.net\.2$/, "double_blocks$1.img_mlp.fc2"],
  [/^transformer_blocks(\.\d+)\.ff_context\.net\.0\.proj$/, "double_blocks$1.txt_mlp.fc1"],
  [/^transformer_blocks(\.\d+)\.ff_context\.net\.2$/, "double_blocks$1.txt_mlp.fc2"],
  [/^x_embedder\.proj$/, "img_in.proj"],
  [/^proj_out$/, "final_layer.linear"],
  // Shift before scale there, after it here.
  [
    /^norm_out\.linear$/,
    ["final_layer.adaLN_modulation.1", [0, 2], [1, 2]],
    ["final_layer.adaLN_modulation.1", [1, 2], [0, 2]],
  ],
  [/^time_embed\.timestep_embedder\.linear_1$/, "time_in.mlp.0"],
  [/^time_embed\.timestep_embedder\.linear_2$/, "time_in.mlp.2"],
  [/^time_embed\.timestep_embedder_r\.linear_1$/, "time_r_in.mlp.0"],
  [/^time_embed\.timestep_embedder_r\.linear_2$/, "time_r_in.mlp.2"],
  [/^context_embedder\.proj_in$/, "txt_in.input_embedder"],
  [/^context_embedder\.time_text_embed\.timestep_embedder\.linear_1$/, "txt_in.t_embedder.mlp.0"],
  [/^context_embedder\.time_text_embed\.timestep_embedder\.linear_2$/, "txt_in.t_embedder.mlp.2"],
  [/^context_embedder\.time_text_embed\.text_embedder\.(linear_[12])$/, "txt_in.c_embedder.$1"],
  [
    /^context_embedder\.token_refiner\.refiner_blocks(\.\d+)\.attn\.to_out\.0$/,
    "txt_in.individual_token_refiner.blocks$1.self_attn_proj",
  ],
  [
    /^context_embedder\.token_refiner\.refiner_blocks(\.\d+)\.ff\.net\.0\.proj$/,
    "txt_in.individual_token_refiner.blocks$1.mlp.fc1",
  ],
  [
    /^context_embedder\.token_refiner\.refiner_blocks(\.\d+)\.ff\.net\.2$/,
    "txt_in.individual_token_refiner.blocks$1.mlp.fc2",
  ],
  [
    /^context_embedder\.token_refiner\.refiner_blocks(\.\d+)\.norm_out\.linear$/,
    "txt_in.individual_token_refiner.blocks$1.adaLN_modulation.1",
  ],
  [
    /^context_embedder\.token_refiner\.refiner_blocks(\.\d+)\.(norm[12])$/,
    "txt_in.individual_token_refiner.blocks$1.$2",
  ],
  [/^context_embedder_2\.norm$/, "byt5_in.layernorm"],
  [/^context_embedder_2\.linear_([123])$/, "byt5_in.fc$1"],
  [/^image_embedder\.norm_in$/, "vision_in.proj.0"],
  [/^image_embedder\.linear_1$/, "vision_in.proj.1"],
  [/^image_embedder\.linear_2$/, "vision_in.proj.3"],
  [/^image_embedder\.norm_out$/, "vision_in.proj.4"],
  [/^cond_type_embed$/, "cond_type_embedding"],
];

const RENAMES: Readonly<Record<string, readonly Rename[]>> = { wan: WAN, hunyuan: HUNYUAN };
