/** Image to video from files: the same picture, noise and weights as from a diffusers folder make the same video, bit by bit. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Device, type FolderReader, memoryFolder } from "@lvsa/runtime";
import { encodeGguf } from "@lvsa/runtime/gguf";
import { nodeFolder } from "@lvsa/runtime/node";
import { testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CheckpointFiles, openCheckpoint } from "../checkpoint/single-file/open-checkpoint.js";
import type { GenerateOptions } from "../pipelines/video-pipeline.js";
import { comfyHunyuan, originalCogVideoX, originalHunyuan } from "../testing-support/original-names.js";
import {
  type FloatTensors,
  fileOf,
  originalWan,
  randomModel,
  safetensorsOf,
} from "../testing-support/tiny-wan-files.js";
import { Engine } from "./engine.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

const FIXTURES = fileURLToPath(new URL("../../../../fixtures/reference", import.meta.url));
const image = {
  data: Uint8Array.from({ length: 40 * 56 * 3 }, (_, i) => (i * 37 + (i >> 5) * 11) & 0xff),
  ...{ height: 40, width: 56 },
};
const embeds = (rows: number, width: number, seed: number) => ({
  data: Float32Array.from({ length: rows * width }, (_, i) => Math.sin(seed + i * 1.7)),
  shape: [1, rows, width],
});

interface Family {
  readonly index: Readonly<Record<string, unknown>>;
  /** Class, configuration and the option that its file is given by. */
  readonly parts: Readonly<Record<string, readonly [string, object, keyof CheckpointFiles]>>;
  /** What no file of weights holds. */
  readonly settings: Readonly<Record<string, object>>;
  /** From the class's names to those of the transformer's file. */
  readonly original: (model: FloatTensors) => FloatTensors;
  /** Checkpoint with its tokenizers: opened with the pipeline, unused with embeddings. */
  readonly tokenizers: string;
  readonly second?: boolean;
  readonly options: Partial<GenerateOptions>;
}

const WIDE = { num_attention_heads: 1, attention_head_dim: 128, num_layers: 2 };
const TOWER = { hidden_size: 64, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 1 };
const COG_BLOCKS = 4;

const families: Readonly<Record<string, Family>> = {
  hunyuan: {
    index: { _class_name: "HunyuanVideo15ImageToVideoPipeline" },
    parts: {
      transformer: [
        "HunyuanVideo15Transformer3DModel",
        {
          ...{ ...WIDE, num_refiner_layers: 2, mlp_ratio: 1, in_channels: 9, out_channels: 4 },
          ...{ text_embed_dim: 32, text_embed_2_dim: 24, image_embed_dim: 64, target_size: 640 },
          ...{ patch_size: 1, patch_size_t: 1 },
        },
        "transformer",
      ],
      vae: [
        "AutoencoderKLHunyuanVideo15",
        {
          ...{ block_out_channels: [8, 8, 16, 16, 16], latent_channels: 4, layers_per_block: 1 },
          ...{ spatial_compression_ratio: 16, temporal_compression_ratio: 4 },
        },
        "vae",
      ],
      image_encoder: ["SiglipVisionModel", { ...TOWER, image_size: 64, patch_size: 14 }, "imageEncoder"],
    },
    settings: {
      "scheduler/scheduler_config.json": {
        ...{ _class_name: "FlowMatchEulerDiscreteScheduler", num_train_timesteps: 1000, shift: 5 },
      },
      "guider/guider_config.json": { _class_name: "ClassifierFreeGuidance", guidance_scale: 6 },
      "feature_extractor/preprocessor_config.json": {
        ...{ image_processor_type: "SiglipImageProcessor", do_resize: true, resample: 3 },
        ...{ size: { height: 64, width: 64 }, rescale_factor: 1 / 255 },
        ...{ image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] },
      },
    },
    original: (model) => comfyHunyuan(originalHunyuan(model)),
    tokenizers: "hunyuan/pipeline",
    second: true,
    options: {
      ...{ promptEmbeds: embeds(6, 32, 1), negativePromptEmbeds: embeds(6, 32, 2) },
      ...{ promptEmbeds2: embeds(4, 24, 3), negativePromptEmbeds2: embeds(4, 24, 4) },
      ...{ height: 32, width: 48 },
    },
  },
  cogvideox: {
    index: { _class_name: "CogVideoXImageToVideoPipeline" },
    parts: {
      transformer: [
        "CogVideoXTransformer3DModel",
        {
          // Rotary positions follow from 48 heads.
          ...{
            num_attention_heads: 48,
            attention_head_dim: 16,
            num_layers: 2,
            in_channels: 32,
            out_channels: 16,
          },
          ...{ time_embed_dim: 16, text_embed_dim: 24, use_rotary_positional_embeddings: true },
        },
        "transformer",
      ],
      vae: [
        "AutoencoderKLCogVideoX",
        {
          ...{ block_out_channels: [32, 32, 32, 32], latent_channels: 16, layers_per_block: 1 },
          down_block_types: Array.from({ length: COG_BLOCKS }, () => "CogVideoXDownBlock3D"),
          up_block_types: Array.from({ length: COG_BLOCKS }, () => "CogVideoXUpBlock3D"),
          scaling_factor: 0.7,
        },
        "vae",
      ],
    },
    settings: {
      "scheduler/scheduler_config.json": {
        ...{ _class_name: "CogVideoXDDIMScheduler", prediction_type: "v_prediction", snr_shift_scale: 1 },
        ...{ beta_start: 0.00085, beta_end: 0.012, beta_schedule: "scaled_linear" },
        ...{ timestep_spacing: "trailing", rescale_betas_zero_snr: true, set_alpha_to_one: true },
        ...{ num_train_timesteps: 1000, clip_sample: false },
      },
    },
    original: originalCogVideoX,
    tokenizers: "cogvideox/pipeline",
    options: {
      ...{ promptEmbeds: embeds(6, 24, 1), negativePromptEmbeds: embeds(6, 24, 2), height: 32, width: 48 },
    },
  },
  wan: {
    index: { _class_name: "WanImageToVideoPipeline", boundary_ratio: null, expand_timesteps: false },
    parts: {
      transformer: [
        "WanTransformer3DModel",
        {
          ...{ ...WIDE, ffn_dim: 32, in_channels: 36, out_channels: 16, text_dim: 16, freq_dim: 16 },
          ...{ image_dim: 64, added_kv_proj_dim: 128 },
        },
        "transformer",
      ],
      vae: ["AutoencoderKLWan", { base_dim: 4 }, "vae"],
      image_encoder: [
        "CLIPVisionModelWithProjection",
        { ...TOWER, image_size: 56, patch_size: 14, projection_dim: 8 },
        "imageEncoder",
      ],
    },
    settings: {
      "scheduler/scheduler_config.json": {
        ...{ _class_name: "UniPCMultistepScheduler", prediction_type: "flow_prediction", flow_shift: 3 },
        ...{ use_flow_sigmas: true, num_train_timesteps: 1000 },
      },
      "image_processor/preprocessor_config.json": {
        ...{ image_processor_type: "CLIPImageProcessor", do_resize: true, resample: 3, do_center_crop: true },
        ...{ size: { shortest_edge: 56 }, crop_size: { height: 56, width: 56 }, rescale_factor: 1 / 255 },
        image_mean: [0.48145466, 0.4578275, 0.40821073],
        image_std: [0.26862954, 0.26130258, 0.27577711],
      },
    },
    original: originalWan,
    tokenizers: "wan/wan21-i2v-clip",
    options: {
      ...{
        promptEmbeds: embeds(512, 16, 1),
        negativePromptEmbeds: embeds(512, 16, 2),
        height: 16,
        width: 32,
      },
    },
  },
};

const LIBRARY = { image_encoder: "transformers" } as Readonly<Record<string, string>>;

async function video(folder: FolderReader, options: Partial<GenerateOptions>): Promise<number[]> {
  using engine = await Engine.open(folder, { device, precision: "f32", registered: false });
  const clip = { numFrames: 5, numInferenceSteps: 2, seed: 7, image, ...options };
  const result = await engine.generate(clip as GenerateOptions);
  const bytes: number[] = [...new Uint8Array(result.latents.data.slice().buffer)];
  for await (const frame of result.frames) bytes.push(...frame);
  return bytes;
}

/** A checkpoint without tokenizers, with those that lie in another folder. */
function lent(base: FolderReader, lender: FolderReader): FolderReader {
  const of = (path = "") => (/^tokenizer(_2)?(\/|$)/.test(path) ? lender : base);
  return {
    name: base.name,
    readText: (path) => of(path).readText(path),
    readBytes: (path) => of(path).readBytes(path),
    exists: (path) => of(path).exists(path),
    list: (path) => of(path).list(path),
    open: (path) => of(path).open(path),
  };
}

describe.each(Object.entries(families))(
  "%s",
  (_, { index, parts, settings, original, tokenizers, second, options }) => {
    it("makes the same video from files of weights alone", async () => {
      const lender = join(FIXTURES, tokenizers, "checkpoint");
      const models = Object.entries(parts).map(
        ([name, [className, config, option]], i) =>
          ({ name, className, config, option, model: randomModel(className, config, i + 1) }) as const,
      );
      const base = memoryFolder({
        "model_index.json": JSON.stringify({
          ...index,
          ...Object.fromEntries(
            models.map(({ name, className }) => [name, [LIBRARY[name] ?? "diffusers", className]]),
          ),
          scheduler: [
            "diffusers",
            (settings["scheduler/scheduler_config.json"] as { _class_name: string })._class_name,
          ],
          ...("guider/guider_config.json" in settings
            ? { guider: ["diffusers", "ClassifierFreeGuidance"] }
            : {}),
        }),
        ...Object.fromEntries(Object.entries(settings).map(([path, json]) => [path, JSON.stringify(json)])),
        ...Object.fromEntries(
          models.flatMap(({ name, className, config, model }) => [
            [`${name}/config.json`, JSON.stringify({ _class_name: className, ...config })],
            [
              `${name}/${LIBRARY[name] ? "model" : "diffusion_pytorch_model"}.safetensors`,
              safetensorsOf(model),
            ],
          ]),
        ),
      });
      const expected = await video(lent(base, nodeFolder(lender)), options);
      expect(new Set(expected).size).toBeGreaterThan(50);
      const given = Object.fromEntries(
        models.map(({ name, option, model }) => [
          option,
          name === "transformer"
            ? fileOf(
                "t.gguf",
                encodeGguf(
                  Object.fromEntries(
                    Object.entries(original(model)).map(([key, one]) => [
                      key,
                      { type: "F32" as const, ...one },
                    ]),
                  ),
                  { "general.architecture": "any" },
                ),
              )
            : fileOf(`${name}.safetensors`, safetensorsOf(model)),
        ]),
      );
      const files = await openCheckpoint(
        {
          ...given,
          tokenizer: nodeFolder(join(lender, "tokenizer")),
          ...(second ? { tokenizer2: nodeFolder(join(lender, "tokenizer_2")) } : {}),
        },
        { isPartial: true },
      );
      expect(files.missing).toEqual(second ? ["textEncoder", "textEncoder2"] : ["textEncoder"]);
      expect(JSON.parse(await files.readText("model_index.json"))._class_name).toBe(index._class_name);
      expect(await video(files, options)).toEqual(expected);
    });
  },
);
