/** A tiny Wan pipeline with random weights, as a diffusers folder and as the single files that people have. */
import {
  encodeSafetensors,
  type FolderReader,
  type GgufValue,
  memoryFolder,
  memorySource,
  type TensorToWrite,
  type WeightsFile,
} from "@lvsa/runtime";
import { encodeGguf } from "@lvsa/runtime/gguf";
import { getModelClass } from "../models/model-classes.js";

export interface FloatTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}
export type FloatTensors = Readonly<Record<string, FloatTensor>>;

const TRANSFORMER = {
  ...{ _class_name: "WanTransformer3DModel", num_attention_heads: 1, ffn_dim: 32, num_layers: 2 },
  ...{ text_dim: 16, freq_dim: 16 },
};
const VAE = { _class_name: "AutoencoderKLWan", base_dim: 4 };
const UMT5 = {
  ...{ architectures: ["UMT5EncoderModel"], model_type: "umt5", vocab_size: 40, d_model: 16, d_kv: 4 },
  ...{ d_ff: 24, num_layers: 2, num_heads: 4, feed_forward_proj: "gated-gelu" },
};
const SCHEDULER = {
  ...{ _class_name: "UniPCMultistepScheduler", prediction_type: "flow_prediction", use_flow_sigmas: true },
  flow_shift: 3,
};

/** Parameters of a class with small seeded numbers; norms near one. */
export function randomModel(className: string, config: object, seed = 1): FloatTensors {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  return Object.fromEntries(
    getModelClass(className)
      .variant(config, new Map())
      .parameters(config)
      .map(({ name, shape }) => {
        const length = shape.reduce((a, b) => a * b, 1);
        const isNorm = /(norm\w*\.weight|gamma)$/.test(name);
        const data = Float32Array.from({ length }, () => (isNorm ? 1 : 0) + next() / 4);
        return [name, { shape, data }];
      }),
  );
}

export function safetensorsOf(tensors: FloatTensors): Uint8Array {
  return encodeSafetensors(
    Object.fromEntries(
      Object.entries(tensors).map(([name, one]): [string, TensorToWrite] => [name, { dtype: "F32", ...one }]),
    ),
  );
}

export function fileOf(name: string, bytes: Uint8Array): WeightsFile {
  return { name, open: async () => memorySource(bytes, name) };
}

/** Twenty pieces and the tokens of UMT5, as a GGUF file carries them. */
const TOKENS = ["<pad>", "</s>", "<unk>", "▁", "▁a", "▁cat", ...Array.from("abcdefghijklmnopqrst")];
const TOKENIZER: Readonly<Record<string, GgufValue>> = {
  "general.architecture": "t5encoder",
  "tokenizer.ggml.model": "t5",
  "tokenizer.ggml.tokens": TOKENS,
  "tokenizer.ggml.scores": TOKENS.map((_, i) => -i - 0.5),
  "tokenizer.ggml.token_type": TOKENS.map((_, i) => (i === 2 ? 2 : i < 2 ? 3 : 1)),
  "tokenizer.ggml.eos_token_id": 1,
  "tokenizer.ggml.padding_token_id": 0,
  "tokenizer.ggml.unknown_token_id": 2,
};

const ORIGINAL_NAMES: readonly (readonly [string | RegExp, string])[] = [
  [/^scale_shift_table/, "head.modulation"],
  ["scale_shift_table", "modulation"],
  ["proj_out", "head.head"],
  ["condition_embedder.time_embedder.linear_1", "time_embedding.0"],
  ["condition_embedder.time_embedder.linear_2", "time_embedding.2"],
  ["condition_embedder.text_embedder.linear_1", "text_embedding.0"],
  ["condition_embedder.text_embedder.linear_2", "text_embedding.2"],
  ["condition_embedder.time_proj", "time_projection.1"],
  ["attn1", "self_attn"],
  ["attn2", "cross_attn"],
  ["to_out.0", "o"],
  [/to_([qkv])/, "$1"],
  [/add_([kv])_proj/, "$1_img"],
  ["norm_added_k", "norm_k_img"],
  ["condition_embedder.image_embedder.norm1", "img_emb.proj.0"],
  ["condition_embedder.image_embedder.ff.net.0.proj", "img_emb.proj.1"],
  ["condition_embedder.image_embedder.ff.net.2", "img_emb.proj.3"],
  ["condition_embedder.image_embedder.norm2", "img_emb.proj.4"],
  ["norm2", "norm3"],
  ["ffn.net.0.proj", "ffn.0"],
  ["ffn.net.2", "ffn.2"],
];
const LLAMA_NAMES: readonly (readonly [string | RegExp, string])[] = [
  ["shared", "token_embd"],
  ["encoder.final_layer_norm", "enc.output_norm"],
  [/encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.relative_attention_bias/, "enc.blk.$1.attn_rel_b"],
  [/encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.(\w)/, "enc.blk.$1.attn_$2"],
  [/encoder\.block\.(\d+)\.layer\.0\.layer_norm/, "enc.blk.$1.attn_norm"],
  [/encoder\.block\.(\d+)\.layer\.1\.layer_norm/, "enc.blk.$1.ffn_norm"],
  [/encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_0/, "enc.blk.$1.ffn_gate"],
  [/encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_1/, "enc.blk.$1.ffn_up"],
  [/encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wo/, "enc.blk.$1.ffn_down"],
];

export function renameAll(
  tensors: FloatTensors,
  replacements: readonly (readonly [string | RegExp, string])[],
): FloatTensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, value]) => [
      replacements.reduce((text, [from, to]) => text.replace(from, to), name),
      value,
    ]),
  );
}

/** A Wan transformer under the names of its authors' repository. */
export function originalWan(model: FloatTensors): FloatTensors {
  return renameAll(model, ORIGINAL_NAMES);
}

export interface TinyWanFiles {
  /** The same pipeline as diffusers keeps it. Its tokenizer is that of `textEncoder`. */
  readonly folder: (tokenizer: Readonly<Record<string, Uint8Array | string>>) => FolderReader;
  /** Original names. */
  readonly transformer: Uint8Array;
  /** GGUF in f32, with the tokenizer. */
  readonly textEncoder: Uint8Array;
  /** The same with transformers' names and no tokenizer. */
  readonly textEncoderAlone: Uint8Array;
  readonly vae: Uint8Array;
  /** All in one file, each behind its prefix. */
  readonly all: Uint8Array;
}

export function tinyWanFiles(): TinyWanFiles {
  const transformer = randomModel("WanTransformer3DModel", TRANSFORMER, 1);
  const vae = randomModel("AutoencoderKLWan", VAE, 2);
  const umt5 = randomModel("UMT5EncoderModel", UMT5, 3);
  const original = originalWan(transformer);
  const llama = renameAll(umt5, LLAMA_NAMES);
  const weights = "diffusion_pytorch_model.safetensors";
  return {
    folder: (tokenizer) =>
      memoryFolder({
        "model_index.json": JSON.stringify({
          ...{ _class_name: "WanPipeline", boundary_ratio: null, expand_timesteps: false },
          transformer: ["diffusers", "WanTransformer3DModel"],
          vae: ["diffusers", "AutoencoderKLWan"],
          text_encoder: ["transformers", "UMT5EncoderModel"],
          tokenizer: ["transformers", "T5TokenizerFast"],
          scheduler: ["diffusers", "UniPCMultistepScheduler"],
        }),
        "scheduler/scheduler_config.json": JSON.stringify(SCHEDULER),
        "transformer/config.json": JSON.stringify(TRANSFORMER),
        [`transformer/${weights}`]: safetensorsOf(transformer),
        "vae/config.json": JSON.stringify(VAE),
        [`vae/${weights}`]: safetensorsOf(vae),
        "text_encoder/config.json": JSON.stringify(UMT5),
        "text_encoder/model.safetensors": safetensorsOf(umt5),
        ...Object.fromEntries(Object.entries(tokenizer).map(([name, file]) => [`tokenizer/${name}`, file])),
      }),
    transformer: safetensorsOf(original),
    textEncoder: encodeGguf(
      Object.fromEntries(
        Object.entries(llama).map(([name, one]) => [name, { type: "F32" as const, ...one }]),
      ),
      TOKENIZER,
    ),
    textEncoderAlone: safetensorsOf(umt5),
    vae: safetensorsOf(vae),
    all: safetensorsOf({
      ...renameAll(original, [[/^/, "model.diffusion_model."]]),
      ...renameAll(umt5, [[/^/, "text_encoders.umt5xxl.transformer."]]),
      ...renameAll(vae, [[/^/, "vae."]]),
    }),
  };
}
