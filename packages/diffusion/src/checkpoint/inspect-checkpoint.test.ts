/** Damaged and foreign checkpoints: each problem is named, and none of them is an exception. */
import { encodeSafetensors, type FolderReader, memoryFolder } from "@lvsa/runtime";
import { describe, expect, it } from "vitest";
import { elementCount, type ParameterTensor } from "../models/definition/parameter-list.js";
import { getModelClass, modelClassNames } from "../models/model-classes.js";
import { describeCheckpoint } from "./describe-checkpoint.js";
import { inspectCheckpoint, pipelineTasks } from "./inspect-checkpoint.js";

const TRANSFORMER = {
  num_attention_heads: 2,
  attention_head_dim: 12,
  ffn_dim: 16,
  num_layers: 2,
  text_dim: 8,
  freq_dim: 16,
};
const VAE = { base_dim: 8, z_dim: 16, num_res_blocks: 1 };
const INDEX = {
  _class_name: "WanPipeline",
  boundary_ratio: 0.875,
  transformer: ["diffusers", "WanTransformer3DModel"],
  vae: ["diffusers", "AutoencoderKLWan"],
  scheduler: ["diffusers", "UniPCMultistepScheduler"],
  image_encoder: [null, null],
};

const weightsOf = (tensors: readonly ParameterTensor[]) =>
  encodeSafetensors(
    Object.fromEntries(
      tensors.map(({ name, shape }) => [
        name,
        { dtype: "BF16" as const, shape, data: new Uint8Array(2 * elementCount(shape)) },
      ]),
    ),
  );
const parameters = (className: string, config: object) => [...getModelClass(className).parameters(config)];

interface Changes {
  readonly index?: object;
  readonly transformer?: (tensors: ParameterTensor[]) => ParameterTensor[];
  readonly config?: object | string;
  readonly files?: Record<string, Uint8Array | string>;
}

function checkpoint(changes: Changes = {}): FolderReader {
  const tensors = parameters("WanTransformer3DModel", TRANSFORMER);
  const config = changes.config ?? { _class_name: "WanTransformer3DModel", ...TRANSFORMER };
  return memoryFolder({
    "model_index.json": JSON.stringify({ ...INDEX, ...changes.index }),
    "transformer/config.json": typeof config === "string" ? config : JSON.stringify(config),
    "transformer/diffusion_pytorch_model.safetensors": weightsOf(changes.transformer?.(tensors) ?? tensors),
    "vae/config.json": JSON.stringify(VAE),
    "vae/diffusion_pytorch_model.safetensors": weightsOf(parameters("AutoencoderKLWan", VAE)),
    "scheduler/scheduler_config.json": JSON.stringify({ flow_shift: 7 }),
    ...changes.files,
  });
}

const problemsOf = async (folder: FolderReader, name = "transformer") => {
  const inspection = await inspectCheckpoint(folder);
  return inspection.components.find((component) => component.name === name)!.problems;
};

describe("inspectCheckpoint", () => {
  it("counts what is there", async () => {
    const inspection = await inspectCheckpoint(checkpoint());
    expect(inspection.ok).toBe(true);
    expect(inspection.components.map(({ name, role }) => [name, role])).toEqual([
      ["transformer", "transformer"],
      ["vae", "autoencoder"],
      ["scheduler", "scheduler"],
    ]);
    const expected = parameters("WanTransformer3DModel", TRANSFORMER);
    const count = expected.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    expect(inspection.components[0]).toMatchObject({
      tensors: expected.length,
      parameters: count,
      bytes: 2 * count,
      dtypes: { BF16: { tensors: expected.length, bytes: 2 * count } },
      files: [{ name: "diffusion_pytorch_model.safetensors", tensors: expected.length, bytes: 2 * count }],
      problems: [],
    });
    expect(inspection.components[0]!.config).toMatchObject({ ...TRANSFORMER, patch_size: [1, 2, 2] });
  });

  it("names missing, wrong and unknown tensors", async () => {
    const folder = checkpoint({
      transformer: (tensors) => [
        ...tensors
          .filter(({ name }) => name !== "blocks.1.attn2.to_k.bias")
          .map((one) => (one.name === "proj_out.bias" ? { ...one, shape: [7] } : one)),
        { name: "blocks.9.surprise", shape: [1] },
        { name: "blocks.0.attn2.norm_added_q.weight", shape: [24] },
      ],
    });
    const problems = await problemsOf(folder);
    expect(problems.map(({ severity, code, message }) => [severity, code, message])).toEqual([
      ["error", "MISSING_TENSOR", "missing: blocks.1.attn2.to_k.bias [24]."],
      ["error", "WRONG_SHAPE", "wrong shape: proj_out.bias is [7], expected [64]."],
      ["warning", "UNEXPECTED_TENSOR", "not used: blocks.9.surprise."],
    ]);
    expect((await inspectCheckpoint(folder)).ok).toBe(false);
  });

  it("lists a few of many names and counts the rest", async () => {
    const [problem] = await problemsOf(checkpoint({ transformer: (tensors) => tensors.slice(10) }));
    expect(problem?.message).toMatch(/^missing: (\S+ \[[\d, ]+\], ){3}\S+ \[[\d, ]+\] and 6 more\.$/);
  });

  it("lists the known classes for an unknown one", async () => {
    const index = { transformer: ["diffusers", "FluxTransformer2DModel"] };
    const folder = checkpoint({ index });
    const problems = await problemsOf(folder);
    const unknown = problems.find(({ code }) => code === "UNKNOWN_MODEL_CLASS");
    expect(unknown?.message).toContain("FluxTransformer2DModel");
    for (const known of modelClassNames()) expect(unknown?.message).toContain(known);
    const inspection = await inspectCheckpoint(folder);
    expect(inspection.components[0]!.tensors).toBeGreaterThan(0);
    expect(() => describeCheckpoint(inspection)).toThrow(/FluxTransformer2DModel.*WanTransformer3DModel/);
  });

  it("reports files that are missing, cut off or not JSON", async () => {
    expect(
      await problemsOf(
        checkpoint({ index: { tokenizer: ["transformers", "T5TokenizerFast"] } }),
        "tokenizer",
      ),
    ).toMatchObject([
      { severity: "error", code: "NOT_FOUND", message: expect.stringContaining("tokenizer") },
    ]);
    expect(
      await problemsOf(
        checkpoint({ index: { text_encoder: ["transformers", "UMT5EncoderModel"] } }),
        "text_encoder",
      ),
    ).toMatchObject([
      { code: "NOT_FOUND", message: expect.stringContaining("text_encoder/config.json") },
      { code: "NOT_FOUND", message: expect.stringContaining("model.safetensors") },
    ]);
    expect(await problemsOf(checkpoint({ config: "{" }))).toMatchObject([{ code: "BAD_JSON" }]);
    expect(await problemsOf(checkpoint({ config: { num_layers: "two" } }))).toMatchObject([
      { code: "BAD_CONFIG", message: expect.stringContaining("num_layers") },
    ]);
    const file = "transformer/diffusion_pytorch_model.safetensors";
    const whole = weightsOf(parameters("WanTransformer3DModel", TRANSFORMER));
    expect(
      await problemsOf(checkpoint({ files: { [file]: whole.subarray(0, whole.length - 5) } })),
    ).toMatchObject([{ code: "TRUNCATED" }]);
  });

  it("warns where the index and config.json name different classes", async () => {
    const config = { ...TRANSFORMER, _class_name: "SkyReelsTransformer3DModel" };
    expect(await problemsOf(checkpoint({ config }))).toMatchObject([
      { severity: "warning", code: "CLASS_MISMATCH" },
    ]);
  });

  it("takes the embedding of T5 under its other name, and Qwen's text model inside a larger one", async () => {
    const t5 = { d_model: 8, d_ff: 8, d_kv: 4, num_heads: 2, num_layers: 1, vocab_size: 10 };
    const qwen = {
      hidden_size: 8,
      intermediate_size: 8,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      vocab_size: 10,
    };
    const renamed = parameters("UMT5EncoderModel", t5).map((one) =>
      one.name === "shared.weight" ? { ...one, name: "encoder.embed_tokens.weight" } : one,
    );
    const visual = [
      { name: "visual.blocks.0.weight", shape: [3] },
      { name: "lm_head.weight", shape: [10, 8] },
    ];
    const name = "Qwen2_5_VLForConditionalGeneration";
    const folder = memoryFolder({
      "model_index.json": JSON.stringify({
        _class_name: "X",
        text_encoder: ["transformers", "UMT5EncoderModel"],
        text_encoder_2: ["transformers", name],
      }),
      "text_encoder/config.json": JSON.stringify(t5),
      "text_encoder/model.safetensors": weightsOf(renamed),
      "text_encoder_2/config.json": JSON.stringify({ architectures: [name], text_config: qwen }),
      "text_encoder_2/model.safetensors": weightsOf([
        ...parameters(name, qwen).map((one) => ({ ...one, name: `model.${one.name}` })),
        ...visual,
      ]),
    });
    const inspection = await inspectCheckpoint(folder);
    expect(inspection.components.map(({ problems }) => problems)).toEqual([[], []]);
    expect(inspection.components[1]!.check).toMatchObject({
      prefix: "model.",
      ignored: ["lm_head.weight", "visual.blocks.0.weight"],
    });
  });

  it("takes the folder of a single model, and says what else is no checkpoint", async () => {
    const config = { _class_name: "AutoencoderKLWan", ...VAE };
    const folder = memoryFolder({
      "config.json": JSON.stringify(config),
      "diffusion_pytorch_model.safetensors": weightsOf(parameters("AutoencoderKLWan", VAE)),
    });
    const { ok, components } = await inspectCheckpoint(folder);
    expect([ok, components.map(({ name, role }) => [name, role])]).toEqual([true, [["", "autoencoder"]]]);
    await expect(inspectCheckpoint(memoryFolder({ "notes.txt": "" }))).rejects.toMatchObject({
      code: "NOT_A_CHECKPOINT",
    });
    await expect(inspectCheckpoint(memoryFolder({ "config.json": "{}" }))).rejects.toMatchObject({
      code: "NOT_A_CHECKPOINT",
    });
  });
});

describe("describeCheckpoint", () => {
  it("takes number formats from the files and settings from the scheduler", async () => {
    const model = describeCheckpoint(await inspectCheckpoint(checkpoint()));
    expect(model).toMatchObject({
      family: "wan",
      task: "text-to-video",
      boundaryRatio: 0.875,
      components: { transformer: { storedDType: "bf16" }, vae: { storedDType: "bf16" } },
      defaults: { numFrames: 81, height: 480, width: 832, flowShift: 7 },
    });
  });

  it("shows 8-bit weights as they are stored, and plans with what they are read as", async () => {
    for (const isScaled of [true, false]) {
      const tensors = parameters("WanTransformer3DModel", TRANSFORMER);
      const file = Object.fromEntries(
        tensors.flatMap(({ name, shape }) => {
          const codes = { dtype: "F8_E4M3" as const, shape, data: new Uint8Array(elementCount(shape)) };
          const scale = { dtype: "F32" as const, shape: [1], data: Float32Array.of(0.5) };
          return isScaled && name.endsWith(".weight")
            ? [[name, codes] as const, [name.replace(/weight$/, "scale_weight"), scale] as const]
            : [[name, codes] as const];
        }),
      );
      const inspection = await inspectCheckpoint(
        checkpoint({ files: { "transformer/diffusion_pytorch_model.safetensors": encodeSafetensors(file) } }),
      );
      const found = inspection.components.find(({ name }) => name === "transformer")!;
      const count = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
      expect(found).toMatchObject({
        ...{ problems: [], bytes: count, parameters: count, readAs: isScaled ? "F32" : "BF16" },
        dtypes: { F8_E4M3: { tensors: tensors.length, bytes: count } },
      });
      const model = describeCheckpoint(inspection);
      expect(model.components.transformer!.storedDType).toBe(isScaled ? "f32" : "bf16");
    }
  });

  it("needs a transformer and an autoencoder", async () => {
    const without = (name: string) => inspectCheckpoint(checkpoint({ index: { [name]: [null, null] } }));
    const transformer = await without("transformer");
    const vae = await without("vae");
    expect(() => describeCheckpoint(transformer)).toThrow(/no component transformer/);
    expect(() => describeCheckpoint(vae)).toThrow(/vae can not be read/);
  });
});

it.each([
  [{ _class_name: "WanImageToVideoPipeline" }, ["image-to-video"]],
  [{ _class_name: "HunyuanVideo15ImageToVideoPipeline" }, ["image-to-video"]],
  [{ _class_name: "WanPipeline", expand_timesteps: true }, ["text-to-video", "image-to-video"]],
  [{ _class_name: "Cosmos3OmniPipeline" }, ["text-to-video", "image-to-video"]],
  [{ _class_name: "WanPipeline", expand_timesteps: false }, ["text-to-video"]],
])("says what the pipeline of %j makes videos from", (index, tasks) => {
  expect(pipelineTasks(index)).toEqual(tasks);
});
