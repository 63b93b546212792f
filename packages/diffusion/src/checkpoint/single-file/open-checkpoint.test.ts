import { memoryFolder } from "@lvsa/runtime";
import { loadT5Tokenizer } from "@lvsa/tokenizers/t5";
import { describe, expect, it } from "vitest";
import {
  type FloatTensors,
  fileOf,
  randomModel,
  renameAll,
  safetensorsOf,
  tinyWanFiles,
} from "../../testing-support/tiny-wan-files.js";
import { describeCheckpoint } from "../describe-checkpoint.js";
import { inspectCheckpoint } from "../inspect-checkpoint.js";
import { openCheckpoint } from "./open-checkpoint.js";

const files = tinyWanFiles();
const transformer = fileOf("wan.safetensors", files.transformer);
const textEncoder = fileOf("umt5.gguf", files.textEncoder);
const vae = fileOf("vae.safetensors", files.vae);

const json = async (folder: { readText(path: string): Promise<string> }, path: string) =>
  JSON.parse(await folder.readText(path)) as Record<string, unknown>;

describe("a set of files", () => {
  it("is a checkpoint: named by slot, or found out by content", async () => {
    for (const given of [{ transformer, textEncoder, vae }, { files: [vae, textEncoder, transformer] }]) {
      const folder = await openCheckpoint(given);
      const inspection = await inspectCheckpoint(folder);
      expect(inspection.components.flatMap(({ problems }) => problems)).toEqual([]);
      expect(inspection.ok).toBe(true);
      expect(inspection.pipelineClass).toBe("WanPipeline");
      expect(inspection.components.map(({ name, className }) => [name, className])).toEqual(
        expect.arrayContaining([
          ["transformer", "WanTransformer3DModel"],
          ["vae", "AutoencoderKLWan"],
          ["text_encoder", "UMT5EncoderModel"],
        ]),
      );
      expect(describeCheckpoint(inspection)).toMatchObject({ family: "wan", defaults: { flowShift: 3 } });
      expect(folder.missing).toEqual([]);
    }
  });

  it("has the tokenizer that the text encoder's file carries", async () => {
    const folder = await openCheckpoint({ transformer, textEncoder, vae });
    const inside = (path: string) => `tokenizer/${path}`;
    const tokenizer = await loadT5Tokenizer({
      readText: (path) => folder.readText(inside(path)),
      readBytes: (path) => folder.readBytes(inside(path)),
      exists: (path) => folder.exists(inside(path)),
    });
    // "▁a" and "▁cat", then the end.
    expect([...tokenizer.encode("a cat", { padding: "none" }).ids]).toEqual([4, 5, 1]);
  });

  it("may lie in one file, each part behind its prefix", async () => {
    const tokenizer = memoryFolder({ "tokenizer.json": "{}" }, "tokenizer");
    const folder = await openCheckpoint({ files: [fileOf("all.safetensors", files.all)], tokenizer });
    expect((await inspectCheckpoint(folder)).ok).toBe(true);
    expect(await folder.readText("tokenizer/tokenizer.json")).toBe("{}");
  });

  it("takes from a folder what the files do not hold", async () => {
    const base = files.folder({ "tokenizer.json": "{}" });
    const folder = await openCheckpoint({ folder: base, transformer });
    const inspection = await inspectCheckpoint(folder);
    expect(inspection.ok).toBe(true);
    const of = (name: string) => inspection.components.find((one) => one.name === name)!;
    expect(of("transformer").files[0]!.name).toBe("wan.safetensors");
    expect(of("vae").files[0]!.name).toBe("diffusion_pytorch_model.safetensors");
    expect(await json(folder, "scheduler/scheduler_config.json")).toMatchObject({ flow_shift: 3 });
  });

  it("names all that is missing, and what to give", async () => {
    await expect(openCheckpoint({ transformer })).rejects.toMatchObject({
      code: "MISSING_COMPONENT",
      message: "Wan also needs the autoencoder, the text encoder and the tokenizer.",
      fix: expect.stringContaining("`vae`, `textEncoder` and `tokenizer`"),
    });
    const alone = fileOf("umt5.safetensors", files.textEncoderAlone);
    await expect(openCheckpoint({ transformer, vae, textEncoder: alone })).rejects.toMatchObject({
      message: "Wan also needs the tokenizer.",
    });
    await expect(openCheckpoint({ vae, textEncoder })).rejects.toMatchObject({
      code: "MISSING_COMPONENT",
      message: expect.stringContaining("no transformer among what was given (T5 or UMT5 encoder"),
    });
    const part = await openCheckpoint({ vae }, { isPartial: true });
    expect(part.missing).toEqual(["transformer"]);
    expect((await inspectCheckpoint(part)).components.map(({ name }) => name)).toEqual(["vae"]);
  });

  it("refuses a file in the place of another, and two for one place", async () => {
    await expect(openCheckpoint({ transformer: vae })).rejects.toMatchObject({
      code: "WRONG_COMPONENT",
      message: "the file given as `transformer` holds: Wan autoencoder.",
      where: "vae.safetensors",
    });
    await expect(openCheckpoint({ transformer, files: [vae, vae] })).rejects.toMatchObject({
      code: "TWO_COMPONENTS",
    });
  });

  it("refuses a component that the model has no place for, instead of leaving it aside", async () => {
    const tokenizer = memoryFolder({ "tokenizer.json": "{}" }, "tokenizer");
    const base = files.folder({ "tokenizer.json": "{}" });
    for (const [given, name] of [
      [{ transformer, vae, textEncoder, textEncoder2: textEncoder }, "textEncoder2"],
      [{ transformer, vae, textEncoder, tokenizer2: tokenizer }, "tokenizer2"],
      [{ folder: base, textEncoder2: textEncoder }, "textEncoder2"],
      [{ folder: base, tokenizer2: tokenizer }, "tokenizer2"],
    ] as const) {
      await expect(openCheckpoint(given)).rejects.toMatchObject({
        code: "BAD_OPTION",
        isUsage: true,
        message: expect.stringMatching(`^this Wan model has no place for .*, given as \`${name}\`$`),
      });
    }
  });

  it("refuses a part that nobody asked for by name, and that the model has no place for", async () => {
    const clip = fileOf(
      "clip.safetensors",
      safetensorsOf(
        randomModel("CLIPVisionModelWithProjection", {
          ...{ hidden_size: 64, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1 },
          ...{ image_size: 28, patch_size: 14, projection_dim: 4 },
        }),
      ),
    );
    await expect(openCheckpoint({ files: [transformer, vae, textEncoder, clip] })).rejects.toMatchObject({
      code: "BAD_OPTION",
      where: "clip.safetensors",
      message: "this Wan model has no place for the image encoder",
    });
  });

  it("refuses a folder whose config.json is no settings", async () => {
    for (const config of ["null", "[]", "7", '"x"']) {
      const folder = memoryFolder({ "config.json": config }, "part");
      await expect(openCheckpoint({ transformer: folder, vae })).rejects.toMatchObject({
        code: "BAD_CONFIG",
        where: "part/config.json",
      });
    }
  });

  it("refuses parts of different models", async () => {
    const large = fileOf(
      "v48",
      safetensorsOf(
        randomModel("AutoencoderKLWan", {
          base_dim: 2,
          z_dim: 4,
          latents_mean: [0, 0, 0, 0],
          latents_std: [1, 1, 1, 1],
        }),
      ),
    );
    await expect(openCheckpoint({ transformer, vae: large, textEncoder })).rejects.toMatchObject({
      code: "PARTS_DO_NOT_FIT",
      message: "the autoencoder (Wan autoencoder) has z_dim 4, the transformer's out_channels is 16.",
    });
  });

  it("has two experts where two transformers are given", async () => {
    const two = await openCheckpoint({ transformer, transformer2: transformer, textEncoder, vae });
    expect(await json(two, "model_index.json")).toMatchObject({
      boundary_ratio: 0.875,
      transformer_2: ["diffusers", "WanTransformer3DModel"],
    });
  });

  it("refuses pickles with the command that converts them", async () => {
    const pickle = fileOf("models/vae.pth", Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0, 0, 0, 8, 0));
    await expect(openCheckpoint({ transformer, vae: pickle })).rejects.toMatchObject({
      code: "PICKLED_WEIGHTS",
      fix: expect.stringMatching(/torch\.load\('vae\.pth'.*weights_only=True.*'vae\.safetensors'/),
    });
  });
});

describe("settings that no file holds", () => {
  it("of Wan's image models and TI2V follow from the channels", async () => {
    const small = { num_attention_heads: 1, ffn_dim: 8, num_layers: 1, text_dim: 6, freq_dim: 4 };
    const model = (config: object) =>
      fileOf("t.safetensors", safetensorsOf(randomModel("WanTransformer3DModel", { ...small, ...config })));
    const index = async (config: object, second = false) => {
      const one = model(config);
      const folder = await openCheckpoint(
        { transformer: one, ...(second ? { transformer2: one } : {}) },
        { isPartial: true },
      );
      return {
        ...(await json(folder, "model_index.json")),
        ...(await json(folder, "scheduler/scheduler_config.json")),
      };
    };
    expect(await index({ in_channels: 36 }, true)).toMatchObject({ boundary_ratio: 0.9 });
    expect(
      (await openCheckpoint({ transformer: model({ in_channels: 36, image_dim: 8 }) }, { isPartial: true }))
        .missing,
    ).toContain("imageEncoder");
    expect(await index({ in_channels: 48, out_channels: 48 })).toMatchObject({
      expand_timesteps: true,
      flow_shift: 5,
    });
  });

  it("of CogVideoX's autoencoder follow from its transformer", async () => {
    const small = { in_channels: 4, out_channels: 4, num_layers: 1, time_embed_dim: 4, text_embed_dim: 4 };
    const cog = (config: object) =>
      fileOf(
        "t.safetensors",
        safetensorsOf(
          randomModel("CogVideoXTransformer3DModel", { ...small, attention_head_dim: 2, ...config }),
        ),
      );
    const types = { down_block_types: ["CogVideoXDownBlock3D"], up_block_types: ["CogVideoXUpBlock3D"] };
    const autoencoder = fileOf(
      "v.safetensors",
      safetensorsOf(
        randomModel("AutoencoderKLCogVideoX", {
          block_out_channels: [32],
          layers_per_block: 1,
          latent_channels: 4,
          ...types,
        }),
      ),
    );
    const factor = async (config: object) =>
      json(
        await openCheckpoint({ transformer: cog(config), vae: autoencoder }, { isPartial: true }),
        "vae/config.json",
      );
    expect(await factor({ num_attention_heads: 30 })).toMatchObject({ scaling_factor: 1.15258426 });
    expect(await factor({ num_attention_heads: 48 })).toMatchObject({
      scaling_factor: 0.7,
      invert_scale_latents: false,
    });
    expect(await factor({ num_attention_heads: 48, patch_size_t: 2 })).toMatchObject({
      scaling_factor: 0.7,
      invert_scale_latents: true,
    });
  });

  it("are those of the base where it has what they follow from", async () => {
    const small = { in_channels: 4, out_channels: 4, num_layers: 1, time_embed_dim: 4, text_embed_dim: 4 };
    const config = { ...small, attention_head_dim: 2, num_attention_heads: 48, patch_size_t: 2 };
    const rotary = { ...config, use_rotary_positional_embeddings: true };
    const types = { down_block_types: ["CogVideoXDownBlock3D"], up_block_types: ["CogVideoXUpBlock3D"] };
    const tiny = { block_out_channels: [32], layers_per_block: 1, latent_channels: 4, ...types };
    const base = memoryFolder({
      "model_index.json": JSON.stringify({
        _class_name: "CogVideoXPipeline",
        transformer: ["diffusers", "CogVideoXTransformer3DModel"],
        vae: ["diffusers", "AutoencoderKLCogVideoX"],
      }),
      "transformer/config.json": JSON.stringify(rotary),
    });
    const vaeFile = fileOf("v.safetensors", safetensorsOf(randomModel("AutoencoderKLCogVideoX", tiny)));
    const folder = await openCheckpoint({ folder: base, vae: vaeFile });
    expect(await json(folder, "vae/config.json")).toMatchObject({
      scaling_factor: 0.7,
      invert_scale_latents: true,
    });
    // A folder of one part says it itself.
    const own = memoryFolder({
      "config.json": JSON.stringify({ _class_name: "AutoencoderKLCogVideoX", ...tiny, scaling_factor: 0.5 }),
    });
    const given = await openCheckpoint({ folder: base, vae: own });
    expect(await json(given, "vae/config.json")).toMatchObject({ scaling_factor: 0.5 });
  });

  it("of a pipeline that starts from an image follow from a transformer that is given to one that does not", async () => {
    const tower = {
      ...{ hidden_size: 64, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1 },
      ...{ image_size: 28, patch_size: 14, projection_dim: 4 },
    };
    const small = { num_attention_heads: 1, ffn_dim: 8, num_layers: 1, text_dim: 16, freq_dim: 4 };
    const wan = (config: object) =>
      fileOf("i2v.gguf", safetensorsOf(randomModel("WanTransformer3DModel", { ...small, ...config })));
    const clip = randomModel("CLIPVisionModelWithProjection", tower);
    const base = files.folder({ "tokenizer.json": "{}" });
    const first = await openCheckpoint({
      ...{ folder: base, transformer: wan({ in_channels: 36, image_dim: 64, added_kv_proj_dim: 128 }) },
      imageEncoder: fileOf("clip.safetensors", safetensorsOf(clip)),
    });
    expect(await json(first, "model_index.json")).toMatchObject({
      _class_name: "WanImageToVideoPipeline",
      image_encoder: ["transformers", "CLIPVisionModelWithProjection"],
      image_processor: ["transformers", "CLIPImageProcessor"],
    });
    expect(await json(first, "image_processor/preprocessor_config.json")).toMatchObject({
      size: { shortest_edge: 28 },
      crop_size: { height: 28, width: 28 },
    });
    const experts = wan({ in_channels: 36 });
    const second = await openCheckpoint({ folder: base, transformer: experts, transformer2: experts });
    expect(await json(second, "model_index.json")).toMatchObject({
      _class_name: "WanImageToVideoPipeline",
      boundary_ratio: 0.9,
    });
    const same = await openCheckpoint({ folder: base, transformer });
    expect(await json(same, "model_index.json")).toMatchObject({
      ...{ _class_name: "WanPipeline", boundary_ratio: null },
    });
  });

  it("of kernels whose first axis has both channels are those of five axes", async () => {
    const joinedKernels = (tensors: FloatTensors) =>
      Object.fromEntries(
        Object.entries(tensors).map(([name, { shape, data }]) => {
          const [outputs = 0, inputs = 0, ...window] = shape;
          return [name, { data, shape: shape.length === 5 ? [outputs * inputs, ...window] : shape }];
        }),
      );
    for (const [className, config] of [
      ["WanTransformer3DModel", { num_attention_heads: 1, ffn_dim: 8, num_layers: 1, in_channels: 36 }],
      ["AutoencoderKLWan", { base_dim: 4 }],
    ] as const) {
      const model = randomModel(className, config);
      const [plain, joined] = await Promise.all(
        [model, joinedKernels(model)].map((tensors) =>
          openCheckpoint({ files: [fileOf("x.safetensors", safetensorsOf(tensors))] }, { isPartial: true }),
        ),
      );
      const slot = className === "AutoencoderKLWan" ? "vae" : "transformer";
      expect(await json(joined!, `${slot}/config.json`)).toEqual(await json(plain!, `${slot}/config.json`));
      const weights = (await joined!.weights!(slot))!;
      for (const [name, { shape, data }] of Object.entries(model)) {
        expect(weights.info(name).shape, name).toEqual(shape);
        expect(new Float32Array((await weights.read(name)).slice().buffer), name).toEqual(data);
      }
      await weights.close();
    }
  });

  it("of a file with tensors that no part reads are told", async () => {
    const extra = {
      ...renameAll(randomModel("AutoencoderKLWan", { base_dim: 2 }), []),
      "loss.x": { shape: [1], data: new Float32Array(1) },
    };
    const folder = await openCheckpoint({ vae: fileOf("v", safetensorsOf(extra)) }, { isPartial: true });
    const [component] = (await inspectCheckpoint(folder)).components;
    expect(component!.problems).toMatchObject([{ severity: "warning", code: "UNEXPECTED_TENSOR" }]);
  });
});
