/** Tiny models under the original names of each family: the same tensors, bit by bit, and the same configuration. */
import {
  encodeSafetensors,
  memorySource,
  openSafetensors,
  type TensorToWrite,
  type WeightSource,
} from "@lvsa/runtime";
import { describe, expect, it } from "vitest";
import { knownModels } from "../../catalog/known-models.js";
import { getModelClass } from "../../models/model-classes.js";
import {
  comfyHunyuan,
  fusedHunyuan,
  joined,
  originalCogVideoX,
  originalCogVideoXVae,
  originalHunyuan,
  originalHunyuanVae,
  renamed,
} from "../../testing-support/original-names.js";
import type { FloatTensor } from "../../testing-support/tiny-wan-files.js";
import { componentWeights, findComponents } from "./find-components.js";

type Model = Record<string, FloatTensor>;

/** All parameters of a class, each number another one. */
function modelOf(className: string, config: object): Model {
  let next = 0;
  const definition = getModelClass(className).variant(config, new Map());
  return Object.fromEntries(
    definition.parameters(config).map(({ name, shape }) => [
      name,
      {
        shape,
        data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => (next++ % 65521) / 64),
      },
    ]),
  );
}

const open = (tensors: Model): Promise<WeightSource> =>
  openSafetensors(
    memorySource(
      encodeSafetensors(
        Object.fromEntries(
          Object.entries(tensors).map(([name, one]): [string, TensorToWrite] => [
            name,
            { dtype: "F32", ...one },
          ]),
        ),
      ),
      "file.safetensors",
    ),
  );

/** The one component of a file, as the class reads it. */
async function loaded(tensors: Model) {
  const source = await open(tensors);
  const found = findComponents(source);
  expect(found.map(({ kind }) => kind.title)).toHaveLength(1);
  const weights = componentWeights(source, found[0]!);
  const model: Model = {};
  for (const name of weights.names()) {
    const bytes = await weights.read(name);
    model[name] = { shape: weights.info(name).shape, data: new Float32Array(bytes.slice().buffer) };
  }
  return { model, weights, ...found[0]! };
}

function expectSame(actual: Model, expected: Model): void {
  expect(Object.keys(actual).sort()).toEqual(Object.keys(expected).sort());
  for (const [name, { shape, data }] of Object.entries(expected)) {
    expect(actual[name]!.shape, name).toEqual(shape);
    expect(Buffer.compare(Buffer.from(actual[name]!.data.buffer), Buffer.from(data.buffer)), name).toBe(0);
  }
}

const HUNYUAN = {
  ...{ num_attention_heads: 2, attention_head_dim: 8, num_layers: 2, num_refiner_layers: 2, mlp_ratio: 2 },
  ...{ in_channels: 9, out_channels: 4, text_embed_dim: 12, text_embed_2_dim: 10, image_embed_dim: 6 },
};
const COGVIDEOX = {
  ...{ num_attention_heads: 2, attention_head_dim: 16, in_channels: 4, out_channels: 4, num_layers: 2 },
  ...{ time_embed_dim: 8, text_embed_dim: 12 },
};

describe("original names", () => {
  it("HunyuanVideo 1.5, transformer", async () => {
    const model = modelOf("HunyuanVideo15Transformer3DModel", HUNYUAN);
    const file = originalHunyuan(model);
    const { model: read, config } = await loaded(file);
    expectSame(read, model);
    expect(config).toMatchObject(HUNYUAN);
    // Three matrices in one, under the original name and under ComfyUI's own.
    for (const spelling of [fusedHunyuan, comfyHunyuan]) {
      const one = await loaded(spelling(file));
      expectSame(one.model, model);
      expect(one.config).toEqual(config);
    }
  });

  it("HunyuanVideo 1.5, autoencoder", async () => {
    const small = {
      ...{ block_out_channels: [8, 16, 32], latent_channels: 4, layers_per_block: 1 },
      ...{ spatial_compression_ratio: 4, temporal_compression_ratio: 2 },
    };
    const model = modelOf("AutoencoderKLHunyuanVideo15", small);
    const file = originalHunyuanVae(model);
    const { model: read, config } = await loaded(file);
    expectSame(read, model);
    expect(config).toMatchObject(small);
  });

  it.each([
    ["with patches of one frame", {}],
    ["1.5, with patches of two", { patch_size_t: 2, patch_bias: false }],
  ])("CogVideoX, transformer %s", async (_, extra) => {
    const model = modelOf("CogVideoXTransformer3DModel", { ...COGVIDEOX, ...extra });
    const file = originalCogVideoX(model);
    const { model: read, config, prefix } = await loaded(file);
    expectSame(read, model);
    expect(prefix).toBe("model.diffusion_model.");
    expect(config).toMatchObject({ ...COGVIDEOX, ...extra });
  });

  it("CogVideoX, autoencoder", async () => {
    const small = { block_out_channels: [32, 64, 64], latent_channels: 4, layers_per_block: 1 };
    const types = {
      down_block_types: small.block_out_channels.map(() => "CogVideoXDownBlock3D"),
      up_block_types: small.block_out_channels.map(() => "CogVideoXUpBlock3D"),
    };
    const model = modelOf("AutoencoderKLCogVideoX", { ...small, ...types });
    const file = originalCogVideoXVae(model);
    const { model: read, config } = await loaded(file);
    expectSame(read, model);
    expect(config).toMatchObject(small);
  });

  it("CLIP of Wan's repository, with its projection the other way round", async () => {
    const small = {
      ...{ hidden_size: 128, intermediate_size: 96, num_hidden_layers: 2, num_attention_heads: 2 },
      ...{ image_size: 8, patch_size: 4, projection_dim: 20 },
    };
    const model = modelOf("CLIPVisionModelWithProjection", small);
    const vision = "vision_model.encoder.layers";
    const projection = model["visual_projection.weight"]!;
    const file: Model = {
      "visual.cls_embedding": { ...model["vision_model.embeddings.class_embedding"]!, shape: [1, 1, 128] },
      "visual.pos_embedding": {
        ...model["vision_model.embeddings.position_embedding.weight"]!,
        shape: [1, 5, 128],
      },
      "visual.head": {
        shape: [128, 20],
        data: Float32Array.from(
          { length: 2560 },
          (_, i) => projection.data[(i % 20) * 128 + Math.floor(i / 20)]!,
        ),
      },
    };
    for (const layer of [0, 1]) {
      for (const end of ["weight", "bias"]) {
        file[`visual.transformer.${layer}.attn.to_qkv.${end}`] = joined(
          ...["q_proj", "k_proj", "v_proj"].map(
            (name) => model[`${vision}.${layer}.self_attn.${name}.${end}`]!,
          ),
        );
      }
    }
    const others = Object.fromEntries(
      Object.entries(model).filter(([name]) => !/_embedding$|position_|visual_|\.[qkv]_proj\./.test(name)),
    );
    Object.assign(
      file,
      renamed(others, [
        ["vision_model.embeddings.patch_embedding", "patch_embedding"],
        ["vision_model.pre_layrnorm", "pre_norm"],
        ["vision_model.post_layernorm", "post_norm"],
        ["vision_model.encoder.layers", "transformer"],
        ["layer_norm", "norm"],
        ["self_attn.out_proj", "attn.proj"],
        ["mlp.fc1", "mlp.0"],
        ["mlp.fc2", "mlp.2"],
        [/^/, "visual."],
      ]),
    );
    const { model: read, config } = await loaded(file);
    expectSame(read, model);
    expect(config).toMatchObject(small);
  });

  it("Qwen2.5-VL under the names of llama.cpp", async () => {
    const small = {
      ...{ vocab_size: 20, hidden_size: 256, intermediate_size: 24, num_hidden_layers: 2 },
      ...{ num_attention_heads: 2, num_key_value_heads: 1 },
    };
    const model = modelOf("Qwen2_5_VLTextModel", small);
    const file = renamed(model, [
      [/^layers/, "blk"],
      ["self_attn.o_proj", "attn_output"],
      [/self_attn\.([qkv])_proj/, "attn_$1"],
      [/mlp\.(\w+)_proj/, "ffn_$1"],
      ["input_layernorm", "attn_norm"],
      ["post_attention_layernorm", "ffn_norm"],
      ["embed_tokens", "token_embd"],
      [/^norm\./, "output_norm."],
    ]);
    const { model: read, config } = await loaded(file);
    expectSame(read, model);
    expect(config).toMatchObject(small);
  });
});

describe("the names of the classes", () => {
  const components = knownModels().flatMap(({ name, components: parts }) =>
    Object.entries(parts).map(
      ([part, { className, config }]) => [`${name}, ${part}`, className, config] as const,
    ),
  );

  it.each(components)("%s: the configuration follows from the shapes", (_, className, config) => {
    const definition = getModelClass(className).variant(config, new Map());
    const parameters = definition.parameters(config);
    const shapes = new Map(parameters.map(({ name, shape }) => [name, shape]));
    // Shapes alone: nobody writes a model of billions of parameters.
    const source = {
      names: () => [...shapes.keys()],
      has: (name: string) => shapes.has(name),
      info: (name: string) => ({ dtype: "BF16", shape: shapes.get(name)!, byteLength: 0, file: "f" }),
    } as unknown as WeightSource;
    const found = findComponents(source);
    expect(found.map(({ kind }) => kind.className)).toHaveLength(1);
    const derived = definition.variant(found[0]!.config, shapes);
    expect(derived.className).toBe(definition.className);
    expect(derived.parameters(found[0]!.config)).toEqual(parameters);
    const ignored = new Set(NOT_IN_SHAPES);
    const [expected, actual] = [definition.parseConfig(config), derived.parseConfig(found[0]!.config)];
    for (const key of Object.keys(derived.parseConfig({}) as object)) {
      if (!ignored.has(key)) expect((actual as never)[key], key).toEqual((expected as never)[key]);
    }
  });
});

/** What no tensor's shape shows: scale factors, training sizes, tasks. */
const NOT_IN_SHAPES = [
  ...["target_size", "task_type", "scaling_factor", "invert_scale_latents", "rope_scaling"],
  ...["rope_parameters", "relative_attention_max_distance", "base_fps", "architectures", "rope_axes_dim"],
];

describe("an image encoder's picture", () => {
  /** Edges and patches of published towers. */
  const siglip = [
    [224, 14],
    [384, 14],
    [980, 14],
    [364, 14],
    [224, 16],
    [256, 16],
    [384, 16],
    [512, 16],
  ] as const;
  const clip = [
    [224, 14],
    [336, 14],
    [224, 16],
    [224, 32],
    [378, 14],
  ] as const;
  it.each([
    ...siglip.map(([edge, patch]) => ["SiglipVisionModel", edge, patch] as const),
    ...clip.map(([edge, patch]) => ["CLIPVisionModelWithProjection", edge, patch] as const),
  ])("of a %s for %i pixels in patches of %i has that size", async (className, edge, patch) => {
    const small = {
      ...{ hidden_size: 64, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1 },
      ...{ image_size: edge, patch_size: patch, projection_dim: 4 },
    };
    const { config } = await loaded(modelOf(className, small));
    expect(config).toMatchObject({ image_size: edge, patch_size: patch });
  });
});

describe("files", () => {
  it("of nothing that is known are refused, with what is", async () => {
    const source = await open({ "unet.conv_in.weight": { shape: [1], data: new Float32Array(1) } });
    expect(() => findComponents(source)).toThrow(
      expect.objectContaining({
        code: "UNKNOWN_FILE",
        fix: expect.stringContaining("Wan transformer"),
        where: "file.safetensors",
      }),
    );
  });

  it("of a whole pipeline hold several components, each behind its prefix", async () => {
    const transformer = modelOf("WanTransformer3DModel", {
      ...{ num_attention_heads: 1, ffn_dim: 8, num_layers: 1, text_dim: 6, freq_dim: 4 },
    });
    const umt5 = modelOf("UMT5EncoderModel", {
      ...{ model_type: "umt5", vocab_size: 9, d_model: 6, d_kv: 2, d_ff: 4, num_layers: 2, num_heads: 2 },
    });
    const vae = modelOf("AutoencoderKLWan", { base_dim: 2 });
    const source = await open({
      ...renamed(transformer, [[/^/, "model.diffusion_model."]]),
      ...renamed(umt5, [[/^/, "text_encoders.umt5xxl.transformer."]]),
      ...renamed(vae, [[/^/, "vae."]]),
    });
    const found = findComponents(source);
    expect(Object.fromEntries(found.map(({ kind, prefix }) => [kind.role, prefix]))).toEqual({
      transformer: "model.diffusion_model.",
      text_encoder: "text_encoders.umt5xxl.transformer.",
      vae: "vae.",
    });
    for (const one of found) {
      const expected = { transformer, text_encoder: umt5, vae }[one.kind.role as "vae"];
      expect(componentWeights(source, one).names().sort()).toEqual(Object.keys(expected).sort());
    }
  });

  it("keep tensors that the kind does not know under their names", async () => {
    const vae = modelOf("AutoencoderKLWan", { base_dim: 2 });
    const { weights } = await loaded({ ...vae, "loss.x": { shape: [1], data: new Float32Array(1) } });
    expect(weights.names()).toContain("loss.x");
  });
});
