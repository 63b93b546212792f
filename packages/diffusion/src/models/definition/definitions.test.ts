/** What the definitions take and refuse; how many tensors they ask for is compared with checkpoints elsewhere. */
import { describe, expect, it } from "vitest";
import { autoencoderKLCogVideoX } from "../autoencoders/autoencoder-kl-cogvideox-definition.js";
import { autoencoderKLWan } from "../autoencoders/autoencoder-kl-wan-definition.js";
import { getModelClass, modelClassNames } from "../model-classes.js";
import { qwen25VLText } from "../text-encoders/qwen2-5-vl-text-definition.js";
import { t5Encoder, t5FeedForward, umt5Encoder } from "../text-encoders/t5-encoder-definition.js";
import { cogVideoXTransformer } from "../transformers/transformer-cogvideox-definition.js";
import { hunyuanVideo15Transformer } from "../transformers/transformer-hunyuan-video15-definition.js";
import { wanTransformer } from "../transformers/transformer-wan-definition.js";

/** Keys whose numbers become loops. */
const COUNTS = [
  "num_layers",
  "num_hidden_layers",
  "num_res_blocks",
  "layers_per_block",
  "num_refiner_layers",
];

describe("every class", () => {
  const counted = modelClassNames().flatMap((name) => {
    const defaults = getModelClass(name).parseConfig({});
    return COUNTS.filter((key) => key in defaults).map((key) => [name, key] as const);
  });

  it.each(counted)("%s refuses a %s that nobody means, at once", (name, key) => {
    for (const value of [2 ** 31, 1e6, 1001, 0, -1, 1.5, "2"]) {
      const error = expect.objectContaining({
        ...{ code: "BAD_CONFIG", where: "x/config.json" },
        message: expect.stringContaining(key),
      });
      expect(() => getModelClass(name).parameters({ [key]: value }, "x/config.json")).toThrow(error);
    }
  });

  it("has a layer count or a block count", () => {
    expect(new Set(counted.map(([name]) => name))).toEqual(new Set(modelClassNames()));
  });
});

describe("WanTransformer3DModel", () => {
  it("runs one kind of norm on queries and keys, and says so for the others", () => {
    expect(wanTransformer.configToRun({}).num_layers).toBe(40);
    for (const qk_norm of ["rms_norm", null]) {
      expect(wanTransformer.parseConfig({ qk_norm }).qk_norm).toBe(qk_norm);
      expect(() => wanTransformer.configToRun({ qk_norm })).toThrow(
        expect.objectContaining({ code: "UNSUPPORTED_CONFIG", message: expect.stringContaining("qk_norm") }),
      );
    }
  });
});

describe("CogVideoXTransformer3DModel", () => {
  it("takes 0 for no ofs embedding, and runs what image to video adds", () => {
    expect(cogVideoXTransformer.configToRun({ ofs_embed_dim: 0 }).ofs_embed_dim).toBe(0);
    const imageToVideo = { ofs_embed_dim: 512, use_learned_positional_embeddings: true };
    const names = cogVideoXTransformer.parameters(imageToVideo).map(({ name }) => name);
    expect(names).toContain("ofs_embedding.linear_1.weight");
    expect(names).toContain("patch_embed.pos_embedding");
    expect(cogVideoXTransformer.configToRun(imageToVideo)).toMatchObject(imageToVideo);
    expect(() => cogVideoXTransformer.configToRun({ activation_fn: "gelu" })).toThrow("activation_fn gelu");
  });
});

describe("HunyuanVideo15Transformer3DModel", () => {
  it("bounds the size that its default size is looked for in", () => {
    expect(() => hunyuanVideo15Transformer.parseConfig({ target_size: 1e6 })).toThrow("target_size");
  });
});

describe("AutoencoderKLWan", () => {
  it("has the latent statistics of Wan 2.1 where the file has none, and one number per channel", () => {
    expect(autoencoderKLWan.parseConfig({}).latents_mean).toHaveLength(16);
    expect(() => autoencoderKLWan.parseConfig({ z_dim: 48 })).toThrow(
      /latents_mean: holds 16 numbers, expected z_dim = 48; latents_std/,
    );
    expect(() => autoencoderKLWan.parseConfig({ latents_std: Array(16).fill(0) })).toThrow("latents_std");
  });

  it("takes null for a factor that the class has a default for", () => {
    const config = autoencoderKLWan.parseConfig({ scale_factor_temporal: null, scale_factor_spatial: null });
    expect([config.scale_factor_temporal, config.scale_factor_spatial]).toEqual([4, 8]);
  });

  it("does not run attention in its levels", () => {
    expect(() => autoencoderKLWan.configToRun({ attn_scales: [1] })).toThrow("attn_scales [1]");
  });
});

it("an autoencoder of CogVideoX with another activation is refused", () => {
  expect(() => autoencoderKLCogVideoX.configToRun({ act_fn: "gelu" })).toThrow("act_fn gelu");
});

describe("T5", () => {
  const feedForward = (feed_forward_proj: string) =>
    t5FeedForward(t5Encoder.parseConfig({ feed_forward_proj }));

  it("runs the activation that is named", () => {
    expect(feedForward("relu")).toEqual({ activation: "relu", isGated: false });
    expect(feedForward("gelu")).toEqual({ activation: "gelu", isGated: false });
    expect(feedForward("gated-gelu")).toEqual({ activation: "gelu_tanh", isGated: true });
    expect(feedForward("gated-silu")).toEqual({ activation: "silu", isGated: true });
    expect(() => feedForward("gated-mish")).toThrow(/feed_forward_proj: unknown activation "gated-mish"/);
  });

  it("defaults as its own class does", () => {
    expect(t5Encoder.parseConfig({}).feed_forward_proj).toBe("relu");
    expect(umt5Encoder.parseConfig({}).feed_forward_proj).toBe("gated-gelu");
  });

  it("is UMT5 where the configuration or the second layer's bias says so, whatever the index names", () => {
    const bias = "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight";
    const shapes = new Map([[bias, [32, 8]]]);
    for (const named of [t5Encoder, umt5Encoder]) {
      expect(named.variant({ model_type: "umt5" }, new Map()).className).toBe("UMT5EncoderModel");
      expect(named.variant({ model_type: "t5" }, shapes).className).toBe("T5EncoderModel");
      expect(named.variant({}, shapes).className).toBe("UMT5EncoderModel");
      expect(named.variant({}, new Map()).className).toBe(named.className);
    }
  });
});

it("Qwen2.5-VL is refused with another activation", () => {
  expect(() => qwen25VLText.configToRun({ hidden_act: "gelu" })).toThrow("hidden_act gelu");
});
