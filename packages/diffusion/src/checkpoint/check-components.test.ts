/** A checkpoint that does not fit its definitions is refused at opening, by the names of file and tensor. */
import { encodeSafetensors, memoryFolder, type SafetensorsDType } from "@lvsa/runtime";
import { describe, expect, it } from "vitest";
import { elementCount } from "../models/definition/parameter-list.js";
import { getModelClass } from "../models/model-classes.js";
import { checkComponents } from "./check-components.js";
import { readModelIndex, readSchedulerConfig } from "./checkpoint-folder.js";

const CONFIGS = {
  transformer: { num_attention_heads: 2, attention_head_dim: 4, ffn_dim: 8, num_layers: 2, text_dim: 8 },
  vae: { base_dim: 4, dim_mult: [1, 1], num_res_blocks: 1, temperal_downsample: [true] },
  text_encoder: { d_model: 8, d_ff: 8, d_kv: 4, num_heads: 2, num_layers: 2, vocab_size: 10 },
};
const CLASSES = {
  transformer: "WanTransformer3DModel",
  vae: "AutoencoderKLWan",
  text_encoder: "UMT5EncoderModel",
} as const;

type Component = keyof typeof CONFIGS;
interface Stored {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype?: SafetensorsDType;
}

interface Change {
  readonly index?: Readonly<Record<string, unknown>>;
  readonly tensors?: Readonly<Partial<Record<Component, (stored: readonly Stored[]) => readonly Stored[]>>>;
  readonly configs?: Readonly<Partial<Record<Component, object>>>;
  readonly scheduler?: unknown;
}

/** A whole tiny Wan checkpoint, but for `change`. */
function checkpoint({ index, tensors, configs, scheduler = {} }: Change = {}) {
  const files: Record<string, string | Uint8Array> = {
    "scheduler/scheduler_config.json": JSON.stringify(scheduler),
  };
  for (const name of Object.keys(CONFIGS) as Component[]) {
    const declared: readonly Stored[] = getModelClass(CLASSES[name]).parameters(CONFIGS[name]);
    const stored = tensors?.[name]?.(declared) ?? declared;
    const entries = stored.map(({ name: tensor, shape, dtype = "BF16" }) => {
      const bytes = elementCount(shape) * ({ BF16: 2, I64: 8 }[dtype as string] ?? 4);
      return [tensor, { dtype, shape: [...shape], data: new Uint8Array(bytes) }] as const;
    });
    const file = name === "text_encoder" ? "model" : "diffusion_pytorch_model";
    files[`${name}/config.json`] = JSON.stringify(configs?.[name] ?? CONFIGS[name]);
    files[`${name}/${file}.safetensors`] = encodeSafetensors(Object.fromEntries(entries));
  }
  files["model_index.json"] = JSON.stringify({
    _class_name: "WanPipeline",
    transformer: ["diffusers", CLASSES.transformer],
    vae: ["diffusers", CLASSES.vae],
    text_encoder: ["transformers", CLASSES.text_encoder],
    scheduler: ["diffusers", "UniPCMultistepScheduler"],
    tokenizer: ["transformers", "T5TokenizerFast"],
    ...index,
  });
  return memoryFolder(files);
}

async function check(change?: Change) {
  const folder = checkpoint(change);
  return checkComponents(
    folder,
    await readModelIndex(folder),
    Object.values(CLASSES).map((name) => getModelClass(name)),
  );
}

describe("checkComponents", () => {
  it("has nothing to say of a whole checkpoint", async () => {
    expect(await check()).toEqual({ notes: [] });
  });

  it.each([
    ["transformer", "blocks.1.attn2.to_k.weight", "diffusion_pytorch_model"],
    ["vae", "decoder.conv_in.bias", "diffusion_pytorch_model"],
    ["vae", "encoder.conv_in.weight", "diffusion_pytorch_model"],
    ["text_encoder", "encoder.block.0.layer.1.DenseReluDense.wo.weight", "model"],
  ] as const)("names tensor and file of a weight of another shape (%s, %s)", async (name, tensor, file) => {
    const reshape = (stored: readonly Stored[]) =>
      stored.map((one) => (one.name === tensor ? { ...one, shape: [...one.shape, 1] } : one));
    await expect(check({ tensors: { [name]: reshape } })).rejects.toMatchObject({
      ...{ name: "WeightsError", code: "WRONG_SHAPE" },
      message: expect.stringContaining(tensor),
      where: expect.stringContaining(`${name}/${file}.safetensors`),
    });
  });

  it("names a tensor that is not there, and one of integers", async () => {
    await expect(check({ tensors: { vae: (stored) => stored.slice(1) } })).rejects.toMatchObject({
      code: "MISSING_TENSOR",
      message: expect.stringContaining("encoder.conv_in.weight [4, 3, 3, 3, 3]"),
      where: expect.stringContaining("vae/diffusion_pytorch_model.safetensors"),
    });
    const integers = (stored: readonly Stored[]) =>
      stored.map((one, i) => (i === 3 ? { ...one, dtype: "I64" as const } : one));
    await expect(check({ tensors: { text_encoder: integers } })).rejects.toMatchObject({
      code: "WRONG_DTYPE",
      message: expect.stringMatching(/encoder\.block\.0\S+ is I64/),
    });
  });

  it("notes what no part of the model reads", async () => {
    const more = (stored: readonly Stored[]) => [...stored, { name: "blocks.2.surprise", shape: [3] }];
    const { notes } = await check({ tensors: { transformer: more } });
    expect(notes).toEqual(["Tensors of transformer that were not used: blocks.2.surprise."]);
    // Layers beyond the configured ones make another picture.
    const { notes: layers } = await check({
      configs: { transformer: { ...CONFIGS.transformer, num_layers: 1 } },
    });
    expect(layers[0]).toMatch(/^Tensors of transformer that were not used: blocks\.1\..* and \d+ more\.$/);
  });

  it("names the key of a configuration that does not fit, and the file", async () => {
    const vae = { ...CONFIGS.vae, latents_mean: [0, 0, 0, 0] };
    await expect(check({ configs: { vae } })).rejects.toMatchObject({
      ...{ code: "BAD_CONFIG", where: "vae/config.json" },
      message: expect.stringContaining("latents_mean"),
    });
    const layers = { ...CONFIGS.transformer, num_layers: 2 ** 31 };
    await expect(check({ configs: { transformer: layers } })).rejects.toMatchObject({
      ...{ code: "BAD_CONFIG", where: "transformer/config.json" },
      message: expect.stringContaining("num_layers"),
    });
  });

  it("refuses an unknown class of a part that it needs, and passes over others", async () => {
    await expect(check({ index: { text_encoder: ["transformers", "Gemma3Model"] } })).rejects.toMatchObject({
      code: "UNKNOWN_MODEL_CLASS",
    });
    const sound = { sound_tokenizer: ["diffusers", "SomeAutoencoder"], image_encoder: [null, null] };
    expect(await check({ index: sound })).toEqual({ notes: [] });
  });
});

describe("readSchedulerConfig", () => {
  const read = async (scheduler: unknown, index?: Change["index"]) => {
    const folder = checkpoint({ scheduler, ...(index ? { index } : {}) });
    return readSchedulerConfig(folder, await readModelIndex(folder));
  };

  it("takes the class from model_index.json, and says where the file names another", async () => {
    const own = await read({ _class_name: "UniPCMultistepScheduler", flow_shift: 3 });
    expect(own).toEqual({ config: { _class_name: "UniPCMultistepScheduler", flow_shift: 3 }, notes: [] });
    const none = await read({ flow_shift: 3 });
    expect(none).toEqual(own);
    const other = await read({ _class_name: "FlowMatchEulerDiscreteScheduler" });
    expect(other.config._class_name).toBe("UniPCMultistepScheduler");
    expect(other.notes[0]).toMatch(/UniPCMultistepScheduler.*FlowMatchEulerDiscreteScheduler/);
  });

  it("keeps the file's class where the index lists no scheduler", async () => {
    const { config } = await read({ _class_name: "X" }, { scheduler: [null, null] });
    expect(config._class_name).toBe("X");
    await expect(read([])).rejects.toMatchObject({ code: "BAD_CONFIG" });
  });
});
