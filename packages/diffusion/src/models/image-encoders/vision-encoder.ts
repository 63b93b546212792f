/**
 * The image encoders of the image-to-video checkpoints: CLIP's and SigLIP's vision transformers (transformers
 * `CLIPVisionModel`, `SiglipVisionModel`). Both give one row per patch; CLIP has a row for its class in front.
 *
 * Weights stream: one layer at a time is on the GPU, all images go through it, and layers that nobody asks for are not
 * read. The residual stream is f32.
 */
import { attention } from "@lvsa/core";
import {
  type Activation,
  activate,
  affine,
  type Device,
  layerNorm,
  linear,
  ShapeError,
  type Tensor,
  throwIfAborted,
  type WeightSource,
} from "@lvsa/runtime";
import type { HostTensor } from "../../pipelines/video-pipeline.js";
import type { ModelDefinition } from "../definition/define-model.js";
import { ModelWeights } from "../definition/model-weights.js";
import { type LoadOptions, loadParameters, type Parameters } from "../parameters.js";
import { readFloats } from "../text-encoders/embedding-rows.js";
import { imagePatches } from "./image-patches.js";
import {
  type ClipVisionConfig,
  clipVision,
  type SiglipVisionConfig,
  siglipVision,
} from "./vision-encoder-definitions.js";

export interface VisionEncodeOptions {
  readonly signal?: AbortSignal;
  /** Hears of finished layers. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Hears of `embeddings` and `layer{i}` of image `image`; copy what you want to keep. */
  readonly tap?: (name: string, tensor: Tensor, image: number) => void;
}

/** What the two have in common. */
interface VisionParts {
  readonly definition: ModelDefinition;
  readonly config: ClipVisionConfig | SiglipVisionConfig;
  /** Layers that run. */
  readonly layers: number;
  readonly hasClassToken: boolean;
  /** Norms before the first and after the last layer, where there are any. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

const ROOT = "vision_model.";
const STOPPED = "encoding the image";

/** transformers' name to ours; the sigmoid approximation (`quick_gelu`) is none of the kernels'. */
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu: "gelu",
  gelu_new: "gelu_tanh",
  gelu_pytorch_tanh: "gelu_tanh",
  silu: "silu",
  relu: "relu",
};
/** x · sigmoid(1.702 x). */
const QUICK_GELU = 1.702;

export class VisionEncoder {
  readonly config: ClipVisionConfig | SiglipVisionConfig;
  readonly #device: Device;
  readonly #weights: ModelWeights;
  readonly #parts: VisionParts;

  private constructor(device: Device, source: WeightSource, parts: VisionParts, where?: string) {
    this.config = parts.config;
    this.#device = device;
    this.#parts = parts;
    this.#weights = ModelWeights.check(parts.definition, parts.config, source, { where });
  }

  /**
   * CLIP up to the last layer but one, as Wan 2.1 takes it: `encode` gives transformers' `hidden_states[-2]`
   * `[1, 1 + patches, hidden_size]`. Checks the weights against the definition and holds none: `source` stays open for
   * as long as `encode` is used, and stays the caller's. @throws ConfigError, WeightsError
   */
  static clipPenultimate(device: Device, source: WeightSource, json: unknown, where?: string): VisionEncoder {
    const config = clipVision.configToRun(json, where);
    const parts = {
      ...{ definition: clipVision, config, layers: config.num_hidden_layers - 1 },
      ...{ hasClassToken: true, before: "pre_layrnorm", after: undefined },
    };
    return new VisionEncoder(device, source, parts, where);
  }

  /**
   * SigLIP, as HunyuanVideo 1.5 takes it: `encode` gives transformers' `last_hidden_state` `[1, patches, hidden_size]`,
   * after the last norm; the pooling head is not used. Otherwise as `clipPenultimate`.
   */
  static siglip(device: Device, source: WeightSource, json: unknown, where?: string): VisionEncoder {
    const config = siglipVision.configToRun(json, where);
    const parts = {
      ...{ definition: siglipVision, config, layers: config.num_hidden_layers },
      ...{ hasClassToken: false, before: undefined, after: "post_layernorm" },
    };
    return new VisionEncoder(device, source, parts, where);
  }

  /**
   * Hidden states f32 of each image's pixel values `[1, 3, image_size, image_size]`, with one pass over the weights.
   * The caller disposes them; after an error none is left. @throws ShapeError, WeightsError, AbortError
   */
  async encode(images: readonly HostTensor[], options: VisionEncodeOptions = {}): Promise<Tensor[]> {
    const device = this.#device;
    const { layers, after } = this.#parts;
    for (const image of images) this.#checkPixels(image);
    let hidden: Tensor[] = [];
    try {
      hidden = await this.#embed(images, options);
      for (const [i, x] of hidden.entries()) options.tap?.("embeddings", x, i);
      for (let layer = 0; layer < layers; layer++) {
        throwIfAborted(options.signal, STOPPED);
        using parameters = await this.#load(`encoder.layers.${layer}.`, options);
        const previous = hidden;
        hidden = device.scope(() => previous.map((x) => device.scope(() => this.#layer(x, parameters))));
        for (const x of previous) x.dispose();
        for (const [i, x] of hidden.entries()) options.tap?.(`layer${layer}`, x, i);
        options.onProgress?.(layer + 1, layers);
      }
      if (after === undefined) return hidden;
      using norm = await this.#load(`${after}.`, options);
      const previous = hidden;
      hidden = device.scope(() => previous.map((x) => this.#norm(x, norm, "")));
      for (const x of previous) x.dispose();
      return hidden;
    } catch (error) {
      for (const x of hidden) x.dispose();
      throw error;
    }
  }

  #checkPixels({ shape }: HostTensor): void {
    const { image_size: size } = this.config;
    if (shape.join() === [1, 3, size, size].join()) return;
    throw new ShapeError(
      "SHAPE_MISMATCH",
      `the image encoder takes pixel values [1, 3, ${size}, ${size}], got [${shape.join(", ")}]`,
      { fix: "Use preprocessor_config.json and config.json of one checkpoint." },
    );
  }

  /** Rows of patches with their positions, and the norm before the first layer. */
  async #embed(images: readonly HostTensor[], options: VisionEncodeOptions): Promise<Tensor[]> {
    const device = this.#device;
    const { hidden_size: width, image_size: size, patch_size: patch } = this.config;
    const { hasClassToken, before } = this.#parts;
    using embeddings = await this.#load("embeddings.patch_embedding.", options);
    using norm = before === undefined ? undefined : await this.#load(`${before}.`, options);
    const positions = await readFloats(this.#weights, `${ROOT}embeddings.position_embedding.weight`);
    if (hasClassToken) {
      const token = await readFloats(this.#weights, `${ROOT}embeddings.class_embedding`);
      for (const [i, value] of token.entries()) positions[i]! += value;
    }
    const weight = embeddings.get("weight");
    const bias = embeddings.optional("bias");
    const features = weight.size / width;
    return device.scope(() =>
      images.map(({ data }) =>
        device.scope(() => {
          const rows = imagePatches(data, 3, size, size, patch);
          const patches = device.upload(rows, [rows.length / features, features]);
          // The class token and the positions are there already; patches are added behind it.
          const x = device.upload(positions, [positions.length / width, width]);
          const tokens = x.rows(hasClassToken ? 1 : 0, x.dim(0));
          linear(device, patches, weight.reshape([width, features]), {
            ...(bias ? { bias } : {}),
            residual: tokens,
            out: tokens,
          });
          const embedded = x.reshape([1, x.dim(0), width]);
          return norm ? this.#norm(embedded, norm, "") : embedded;
        }),
      ),
    );
  }

  #load(name: string, { signal }: VisionEncodeOptions): Promise<Parameters> {
    const loading: LoadOptions = { prefix: ROOT + name, isStreamed: true, ...(signal ? { signal } : {}) };
    return loadParameters(this.#device, this.#weights, loading);
  }

  #norm(x: Tensor, p: Parameters, name: string): Tensor {
    const { layer_norm_eps: eps } = this.config;
    return layerNorm(this.#device, x, { weight: p.get(`${name}weight`), bias: p.get(`${name}bias`), eps });
  }

  #layer(hidden: Tensor, p: Parameters): Tensor {
    const device = this.#device;
    const { num_attention_heads: heads, hidden_size: width } = this.config;
    const [, length] = hidden.shape as [number, number, number];
    const project = (x: Tensor, name: string, residual?: Tensor) =>
      linear(device, x, p.get(`${name}.weight`), {
        bias: p.get(`${name}.bias`),
        ...(residual ? { residual } : {}),
      });
    // 1. Self attention
    const x = this.#norm(hidden, p, "layer_norm1.");
    const split = (name: string) =>
      project(x, `self_attn.${name}`).reshape([1, length, heads, width / heads]);
    const { output } = attention(device, {
      query: split("q_proj"),
      key: split("k_proj"),
      value: split("v_proj"),
    });
    const attended = project(output.reshape(hidden.shape), "self_attn.out_proj", hidden);
    // 2. Feed-forward
    const inner = this.#activated(this.#norm(attended, p, "layer_norm2."), p);
    return project(inner, "mlp.fc2", attended);
  }

  #activated(x: Tensor, p: Parameters): Tensor {
    const device = this.#device;
    const activation = ACTIVATIONS[this.config.hidden_act];
    const inner = linear(device, x, p.get("mlp.fc1.weight"), {
      bias: p.get("mlp.fc1.bias"),
      ...(activation ? { activation } : {}),
    });
    if (activation) return inner;
    const scaled = affine(device, inner, { scale: QUICK_GELU });
    return affine(device, activate(device, scaled, "silu"), { scale: 1 / QUICK_GELU });
  }
}
