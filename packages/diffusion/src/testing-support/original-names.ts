/** Tiny models under the names of their authors' repositories: what the published conversion scripts do, backwards. */
import type { FloatTensor } from "./tiny-wan-files.js";

type Model = Readonly<Record<string, FloatTensor>>;
type Replacement = readonly [from: string | RegExp, to: string];

export const joined = (...parts: readonly FloatTensor[]): FloatTensor => ({
  shape: [parts.reduce((sum, { shape }) => sum + shape[0]!, 0), ...parts[0]!.shape.slice(1)],
  data: Float32Array.from(parts.flatMap(({ data }) => [...data])),
});
const rows = ({ shape, data }: FloatTensor, of: number, part: number): FloatTensor => ({
  shape: [shape[0]! / of, ...shape.slice(1)],
  data: data.slice((data.length / of) * part, (data.length / of) * (part + 1)),
});

/** Applies replacements from the class's names to the original ones, in order, as the conversion scripts do it. */
export function renamed(model: Model, replacements: readonly Replacement[]): Model {
  return Object.fromEntries(
    Object.entries(model).map(([name, value]) => [
      replacements.reduce((text, [from, to]) => text.replace(from, to), name),
      value,
    ]),
  );
}

/** HunyuanVideo 1.5, transformer of two layers and two refiner layers. */
export function originalHunyuan(model: Model): Model {
  const file: Record<string, FloatTensor> = {};
  for (const end of ["weight", "bias"]) {
    for (const i of [0, 1]) {
      const own = `context_embedder.token_refiner.refiner_blocks.${i}.attn`;
      const original = `txt_in.individual_token_refiner.blocks.${i}`;
      file[`${original}.self_attn_qkv.${end}`] = joined(
        ...["to_q", "to_k", "to_v"].map((name) => model[`${own}.${name}.${end}`]!),
      );
    }
    const last = model[`norm_out.linear.${end}`]!;
    file[`final_layer.adaLN_modulation.1.${end}`] = joined(rows(last, 2, 1), rows(last, 2, 0));
  }
  const others = Object.fromEntries(
    Object.entries(model).filter(
      ([name]) => !/refiner_blocks\.\d+\.attn\.to_[qkv]\./.test(name) && !name.startsWith("norm_out."),
    ),
  );
  Object.assign(
    file,
    renamed(others, [
      ["context_embedder.token_refiner.refiner_blocks", "txt_in.individual_token_refiner.blocks"],
      [/^(txt_in\.individual.*)\.attn\.to_out\.0/, "$1.self_attn_proj"],
      [/^(txt_in\.individual.*)\.ff\.net\.0\.proj/, "$1.mlp.fc1"],
      [/^(txt_in\.individual.*)\.ff\.net\.2/, "$1.mlp.fc2"],
      [/^(txt_in\.individual.*)\.norm_out\.linear/, "$1.adaLN_modulation.1"],
      ["context_embedder.time_text_embed.timestep_embedder.linear_1", "txt_in.t_embedder.mlp.0"],
      ["context_embedder.time_text_embed.timestep_embedder.linear_2", "txt_in.t_embedder.mlp.2"],
      ["context_embedder.time_text_embed.text_embedder", "txt_in.c_embedder"],
      ["context_embedder.proj_in", "txt_in.input_embedder"],
      ["context_embedder_2.norm", "byt5_in.layernorm"],
      ["context_embedder_2.linear_", "byt5_in.fc"],
      ["image_embedder.norm_in", "vision_in.proj.0"],
      ["image_embedder.linear_1", "vision_in.proj.1"],
      ["image_embedder.linear_2", "vision_in.proj.3"],
      ["image_embedder.norm_out", "vision_in.proj.4"],
      ["x_embedder", "img_in"],
      ["cond_type_embed.", "cond_type_embedding."],
      ["time_embed.timestep_embedder.linear_1", "time_in.mlp.0"],
      ["time_embed.timestep_embedder.linear_2", "time_in.mlp.2"],
      ["transformer_blocks", "double_blocks"],
      ["norm1_context", "txt_mod"],
      ["norm1.linear", "img_mod.linear"],
      [/^(double_blocks.*)\.attn\.to_([qkv])\./, "$1.img_attn_$2."],
      [/^(double_blocks.*)\.attn\.norm_([qk])\./, "$1.img_attn_$2_norm."],
      [/^(double_blocks.*)\.attn\.to_out\.0/, "$1.img_attn_proj"],
      [/^(double_blocks.*)\.attn\.add_([qkv])_proj/, "$1.txt_attn_$2"],
      [/^(double_blocks.*)\.attn\.norm_added_([qk])/, "$1.txt_attn_$2_norm"],
      [/^(double_blocks.*)\.attn\.to_add_out/, "$1.txt_attn_proj"],
      [/^(double_blocks.*)\.ff\.net\.0\.proj/, "$1.img_mlp.fc1"],
      [/^(double_blocks.*)\.ff\.net\.2/, "$1.img_mlp.fc2"],
      [/^(double_blocks.*)\.ff_context\.net\.0\.proj/, "$1.txt_mlp.fc1"],
      [/^(double_blocks.*)\.ff_context\.net\.2/, "$1.txt_mlp.fc2"],
      [/^proj_out/, "final_layer.linear"],
    ]),
  );
  return file;
}

const LETTERS = ["q", "k", "v"] as const;

/** The same with queries, keys and values in one matrix. */
export function fusedHunyuan(original: Model): Model {
  const file: Record<string, FloatTensor> = {};
  for (const [name, one] of Object.entries(original)) {
    const split = /^(.*_attn)_([qkv])\.(weight|bias)$/.exec(name);
    if (!split) file[name] = one;
    else if (split[2] === "q") {
      file[`${split[1]}_qkv.${split[3]}`] = joined(
        ...LETTERS.map((letter) => original[`${split[1]}_${letter}.${split[3]}`]!),
      );
    }
  }
  return file;
}

/** The same as ComfyUI keeps it. */
export function comfyHunyuan(original: Model): Model {
  return renamed(fusedHunyuan(original), [
    [/^(time_in|txt_in\.t_embedder)\.mlp\.0/, "$1.in_layer"],
    [/^(time_in|txt_in\.t_embedder)\.mlp\.2/, "$1.out_layer"],
    ["c_embedder.linear_1", "c_embedder.in_layer"],
    ["c_embedder.linear_2", "c_embedder.out_layer"],
    ["_mod.linear", "_mod.lin"],
    [/_attn_(qkv|proj)/, "_attn.$1"],
    ["_attn_q_norm.weight", "_attn.norm.query_norm.scale"],
    ["_attn_k_norm.weight", "_attn.norm.key_norm.scale"],
    [/^((?:double_blocks|txt_in\.individual).*mlp)\.fc1/, "$1.0"],
    [/^((?:double_blocks|txt_in\.individual).*mlp)\.fc2/, "$1.2"],
  ]);
}

export function originalHunyuanVae(model: Model): Model {
  return renamed(model, [
    ["mid_block.resnets.0", "mid.block_1"],
    ["mid_block.resnets.1", "mid.block_2"],
    [/mid_block\.attentions\.0\.to_([qkv])/, "mid.attn_1.$1"],
    ["mid_block.attentions.0", "mid.attn_1"],
    ["down_blocks", "down"],
    ["up_blocks", "up"],
    ["resnets", "block"],
    ["downsamplers.0", "downsample"],
    ["upsamplers.0", "upsample"],
    ["conv_shortcut", "nin_shortcut"],
  ]);
}

/** CogVideoX (SAT), transformer of two layers. */
export function originalCogVideoX(model: Model): Model {
  const file: Record<string, FloatTensor> = {};
  const part = (name: string, end: string, i: number) => rows(model[`${name}.${end}`]!, 6, i);
  for (const layer of [0, 1]) {
    const own = `transformer_blocks.${layer}`;
    for (const end of ["weight", "bias"]) {
      file[`model.diffusion_model.transformer.layers.${layer}.attention.query_key_value.${end}`] = joined(
        ...["to_q", "to_k", "to_v"].map((name) => model[`${own}.attn1.${name}.${end}`]!),
      );
      const [one, two] = [`${own}.norm1.linear`, `${own}.norm2.linear`];
      file[`model.diffusion_model.mixins.adaln_layer.adaLN_modulations.${layer}.1.${end}`] = joined(
        ...[0, 1, 2].map((i) => part(one, end, i)),
        ...[0, 1, 2].map((i) => part(two, end, i)),
        ...[3, 4, 5].map((i) => part(one, end, i)),
        ...[3, 4, 5].map((i) => part(two, end, i)),
      );
    }
  }
  const others = Object.fromEntries(
    Object.entries(model).filter(([name]) => !/\.(to_[qkv]|norm[12]\.linear)\./.test(name)),
  );
  Object.assign(
    file,
    renamed(others, [
      [/^transformer_blocks\.(\d+)\.attn1\.norm_q/, "mixins.adaln_layer.query_layernorm_list.$1"],
      [/^transformer_blocks\.(\d+)\.attn1\.norm_k/, "mixins.adaln_layer.key_layernorm_list.$1"],
      [/^transformer_blocks/, "transformer.layers"],
      ["attn1.to_out.0", "attention.dense"],
      ["ff.net.0.proj", "mlp.dense_h_to_4h"],
      ["ff.net.2", "mlp.dense_4h_to_h"],
      ["norm1.norm", "input_layernorm"],
      ["norm2.norm", "post_attention_layernorm"],
      ["time_embedding.linear_1", "time_embed.0"],
      ["time_embedding.linear_2", "time_embed.2"],
      ["norm_final", "transformer.final_layernorm"],
      ["norm_out.norm", "mixins.final_layer.norm_final"],
      ["norm_out.linear", "mixins.final_layer.adaLN_modulation.1"],
      [/^proj_out/, "mixins.final_layer.linear"],
      [/^patch_embed/, "mixins.patch_embed"],
      [/^/, "model.diffusion_model."],
    ]),
  );
  file["model.diffusion_model.mixins.pos_embed.freqs_sin"] = { shape: [2], data: new Float32Array(2) };
  return file;
}

/** Of three levels, with what its training left. */
export function originalCogVideoXVae(model: Model): Model {
  return renamed({ ...model, "loss.logvar": { shape: [1], data: new Float32Array(1) } }, [
    ["mid_block.resnets.0", "mid.block_1"],
    ["mid_block.resnets.1", "mid.block_2"],
    ["down_blocks", "down"],
    [/up_blocks\.0/, "up.two"],
    [/up_blocks\.2/, "up.0"],
    [/up_blocks\.1/, "up.1"],
    ["up.two", "up.2"],
    ["resnets", "block"],
    ["downsamplers.0", "downsample"],
    ["upsamplers.0", "upsample"],
    ["conv_shortcut", "nin_shortcut"],
  ]);
}
