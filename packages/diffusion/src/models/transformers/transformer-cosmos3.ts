/**
 * Cosmos3OmniTransformer, text and image to video: a causal language model over the prompt and, layer by layer beside it with
 * weights of its own, a diffusion stream over video tokens that looks at the prompt's keys and values.
 * Source: diffusers `models/transformers/transformer_cosmos3.py`.
 *
 * The two streams run apart. `understand` sends all prompts through the language model once, with one layer of its
 * weights on the GPU at a time; `forward` is the diffusion stream, whose weights `load` keeps on the GPU. Sound and
 * action heads are not used.
 */
import type { AttentionModule, KeyValue, RotaryTables, VideoGeometry } from "@lvsa/core";
import {
  add,
  type Device,
  linear,
  rmsNorm,
  type Tensor,
  throwIfAborted,
  type WeightSource,
  WeightsError,
} from "@lvsa/runtime";
import { ModelWeights } from "../definition/model-weights.js";
import { timestepEmbedding, timesteps, uploadRotary } from "../embeddings.js";
import { addGatedFeedForward } from "../gated-feed-forward.js";
import { linearLayer } from "../layers.js";
import { type LoadOptions, Parameters } from "../parameters.js";
import { embeddingRows } from "../text-encoders/embedding-rows.js";
import { latentGrid, videoGeometry } from "../video-geometry.js";
import { Cosmos3Attention } from "./cosmos3-attention.js";
import { fromCosmos3Patches, toCosmos3Patches } from "./cosmos3-patches.js";
import { cosmos3TextRotary } from "./cosmos3-positions.js";
import { Cosmos3Understanding, type UnderstandingTap } from "./cosmos3-understanding.js";
import {
  DiffusionTransformer,
  type ForwardInputs,
  type TransformerOptions,
} from "./diffusion-transformer.js";
import { attendEach, conditionsOf, eachPrediction, repeated, type WithSecond } from "./predictions.js";
import { allRows, placeOfCall, runBlocks, type VideoPlace, videoPlace } from "./run-blocks.js";
import {
  type Cosmos3TransformerConfig,
  cosmos3ReferenceFrames,
  cosmos3Transformer,
  isCosmos3Generation,
} from "./transformer-cosmos3-definition.js";

/** Width of the sinusoidal timestep features; fixed in diffusers. */
const TIME_FEATURES = 256;

/** What tells two predictions of the same latents apart. */
export interface Cosmos3Text {
  /** From `understand`. */
  readonly understanding: Cosmos3Understanding;
}

export interface Cosmos3ForwardInputs extends ForwardInputs, WithSecond<Cosmos3Text> {
  /** `[1, latent_channel, T, h, w]` f32. */
  readonly latents: Tensor;
  /** 0 to 1000. */
  readonly timestep: number;
  /** Video frames per second, which spread the positions in time. Default `base_fps`. */
  readonly fps?: number;
  /**
   * Latent frames whose content is given (image to video): they are clean, get no timestep, and have no velocity.
   * Sparse attention hears of them. Default: none.
   */
  readonly conditionFrames?: readonly number[] | undefined;
}

export interface UnderstandOptions extends Pick<LoadOptions, "signal"> {
  /** Layers done and their number. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Set in tests; then the last layer, whose result nobody needs, runs whole. */
  readonly tap?: UnderstandingTap;
}

/** A text, and the video's positions behind it. */
interface PlacedText extends Cosmos3Text {
  readonly place: VideoPlace;
}

interface Layer {
  readonly attention: Cosmos3Attention;
  readonly parameters: Parameters;
}

export class Cosmos3OmniTransformer extends DiffusionTransformer<Cosmos3TransformerConfig> {
  /** One layer of the understanding stream while it runs. */
  readonly #understanding: Parameters;
  /** Layers of the two streams: text, and video. */
  readonly #und: readonly Layer[];
  readonly #gen: readonly Layer[];

  constructor(device: Device, config: unknown, options?: TransformerOptions) {
    super(device, cosmos3Transformer, config, options);
    this.#understanding = new Parameters(device);
    const stream = (kind: "und" | "gen", store: Parameters) =>
      this.eachBlock(
        "layers",
        (path, index, parameters) => {
          const name = `${this.name}.${path}self_attn`;
          const own = parameters.scoped("self_attn.");
          return { attention: new Cosmos3Attention(name, index, kind, this.config, own), parameters };
        },
        store,
      );
    this.#und = stream("und", this.#understanding);
    this.#gen = stream("gen", this.parameters);
  }

  /** Token frames of the clips that it was trained on. */
  get referenceLatentFrames(): number {
    return cosmos3ReferenceFrames(this.config);
  }

  override dispose(): void {
    super.dispose();
    this.#understanding.dispose();
  }

  /** Attention of both streams: roles `und` (causal, text) and `self` (video). */
  attentionModules(): AttentionModule[] {
    return this.#und.flatMap(({ attention }, index) => [attention, this.#gen[index]!.attention]);
  }

  /** Token grid of latents `[1, C, T, h, w]`; patches at the edge may be partial. @throws ShapeError */
  geometry(latents: Pick<Tensor, "shape">, conditionFrames: readonly number[] = []): VideoGeometry {
    const { latent_channel: channels, latent_patch_size: p } = this.config;
    const grid = latentGrid("Cosmos 3", latents, channels, {
      fix: "Cosmos 3 makes one video at a time; run batches one after the other.",
    });
    return videoGeometry("Cosmos 3", grid, [1, p, p], { padsPatches: true, conditionFrames });
  }

  /**
   * Runs the understanding stream on token ids, all prompts with one pass over its weights. `source` holds the
   * transformer's weights and stays open. The caller disposes the results.
   */
  async understand(
    source: WeightSource,
    prompts: readonly ArrayLike<number>[],
    options: UnderstandOptions = {},
  ): Promise<Cosmos3Understanding[]> {
    const device = this.device;
    const { config } = this;
    const weights = ModelWeights.check(cosmos3Transformer, config, source, {
      only: (name) => !isCosmos3Generation(name),
    });
    const last = config.num_hidden_layers - 1;
    const out = prompts.map((ids) => new Cosmos3Understanding(device, config, ids.length));
    using tables = uploadRotary(device, cosmos3TextRotary(config, Math.max(1, ...out.map((u) => u.length))));
    let hidden: Tensor[] = [];
    try {
      for (const [i, ids] of prompts.entries()) {
        const rows = await embeddingRows(weights, "embed_tokens.weight", ids);
        hidden.push(device.upload(rows, [1, ids.length, config.hidden_size]));
        options.tap?.("und_in", hidden[i]!, i);
      }
      for (const index of this.#und.keys()) {
        throwIfAborted(options.signal, "reading the prompt");
        const prefix = `layers.${index}.`;
        await this.#understanding.scoped(prefix).load(weights, {
          prefix,
          isStreamed: true,
          only: (name) => !isCosmos3Generation(prefix + name),
          ...(options.signal ? { signal: options.signal } : {}),
        });
        const previous = hidden;
        const runsWhole = index < last || options.tap !== undefined;
        const results = device.scope(() =>
          previous.map((x) => device.scope(() => this.#understandLayer(index, x, tables, runsWhole))),
        );
        hidden = results.map((result) => result.hidden);
        for (const [i, { context }] of results.entries()) out[i]!.push(context);
        for (const [i, x] of previous.entries()) if (x !== hidden[i]) x.dispose();
        this.#understanding.unload();
        for (const [i, x] of hidden.entries()) options.tap?.(`block${index}.und`, x, i);
        options.onProgress?.(index + 1, last + 1);
      }
      return out;
    } catch (error) {
      for (const understanding of out) understanding[Symbol.dispose]();
      throw error;
    } finally {
      this.#understanding.unload();
      for (const x of hidden) x.dispose();
    }
  }

  /**
   * Runs one pass of the generation stream. Returns the velocity `[1, C, T, h, w]`, with a `second` text `[2, …]`, f32, owned
   * by the caller.
   */
  async forward(inputs: Cosmos3ForwardInputs): Promise<Tensor> {
    const device = this.device;
    const { tap } = inputs;
    const geometry = this.geometry(inputs.latents, inputs.conditionFrames);
    // Positions of the video begin behind the text.
    const texts = conditionsOf<Cosmos3Text>(inputs).map(({ understanding }) => {
      const tables = understanding.videoTables(geometry, inputs.fps ?? this.config.base_fps);
      tap?.("rope_cos", tables.cos);
      tap?.("rope_sin", tables.sin);
      return { understanding, place: videoPlace(inputs, geometry, tables) };
    });
    const first = device.scope(() => repeated(device, this.#embed(inputs, geometry), texts.length));
    tap?.("gen_in", first);
    const { place } = texts[0]!;
    return runBlocks(
      device,
      this.weights,
      first,
      inputs,
      (previous, index) => {
        const hidden = this.#generateLayer(index, previous, texts);
        tap?.(`block${index}.gen`, hidden);
        return hidden;
      },
      (hidden) => {
        const p = this.parameters;
        const weight = p.get("norm_moe_gen.weight");
        const normed = rmsNorm(device, hidden, { weight, eps: this.config.rms_norm_eps });
        const rows = linearLayer(p, "proj_out", normed);
        return eachPrediction(device, allRows(device, rows, place), (patches) => {
          const { latent_patch_size } = this.config;
          for (const rows of givenRows(patches, geometry)) {
            device.copyBytes(device.zeros(rows.shape, rows.dtype), rows);
          }
          return fromCosmos3Patches(device, patches, geometry, latent_patch_size, inputs.latents.shape);
        });
      },
      { shard: place.shard },
    );
  }

  /** Patch projection plus the timestep's embedding, which tokens of given frames do not get. `[1, tokens, hidden_size]` */
  #embed({ latents, timestep }: Cosmos3ForwardInputs, geometry: VideoGeometry): Tensor {
    const device = this.device;
    const p = this.parameters;
    const { latent_patch_size, timestep_scale } = this.config;
    const scaled = Math.fround(timestep * Math.fround(timestep_scale));
    const time = timestepEmbedding(timesteps(device, [scaled], TIME_FEATURES), p.scoped("time_embedder."));
    const bias = add(device, time.reshape([time.size]), p.get("proj_in.bias"));
    const patches = toCosmos3Patches(device, latents, geometry, latent_patch_size);
    const weight = p.get("proj_in.weight");
    const hidden = linear(device, patches, weight, { bias, outDtype: "f32" });
    const given = givenRows(patches, geometry);
    for (const [i, rows] of givenRows(hidden, geometry).entries()) {
      linear(device, given[i]!, weight, { bias: p.get("proj_in.bias"), out: rows });
    }
    return hidden;
  }

  #understandLayer(
    index: number,
    x: Tensor,
    rotary: RotaryTables,
    runsWhole: boolean,
  ): { hidden: Tensor; context: { key: Tensor; value: Tensor } } {
    const { attention: module, parameters } = this.#und[index]!;
    const hiddenStates = this.#normed(x, parameters, "input_layernorm");
    const call = { device: this.device, family: this.family, module, hiddenStates, rotary };
    const { key, value } = module.contextFor(call);
    if (!runsWhole) return { hidden: x, context: { key, value } };
    const hidden = this.attention.run({ ...call, epilogue: { residual: x } }).hiddenStates;
    this.#feedForward(hidden, parameters, "");
    return { hidden, context: { key, value } };
  }

  #generateLayer(index: number, x: Tensor, texts: readonly PlacedText[]): Tensor {
    const { device, family } = this;
    const { attention: module, parameters } = this.#gen[index]!;
    const normed = this.#normed(x, parameters, "input_layernorm_moe_gen");
    const { hidden } = attendEach(device, normed, x, ({ hiddenStates, residual, out }, prediction) => {
      const { understanding, place } = texts[prediction]!;
      return this.attention.run({
        ...{ device, family, module, hiddenStates, context: contextOf(understanding, index) },
        ...placeOfCall(place),
        epilogue: { residual, ...(out ? { out } : {}) },
      });
    });
    normed.dispose();
    this.#feedForward(hidden, parameters, "_moe_gen");
    return hidden;
  }

  #normed(x: Tensor, parameters: Parameters, name: string): Tensor {
    const weight = parameters.get(`${name}.weight`);
    return rmsNorm(this.device, x, { weight, eps: this.config.rms_norm_eps, outDtype: this.computeDtype });
  }

  #feedForward(x: Tensor, parameters: Parameters, stream: "" | "_moe_gen"): void {
    addGatedFeedForward(this.device, x, parameters.scoped(`mlp${stream}.`), {
      norm: parameters.get(`post_attention_layernorm${stream}.weight`),
      eps: this.config.rms_norm_eps,
      activation: this.config.hidden_act,
      dtype: this.computeDtype,
    });
  }
}

/** Rows `[patchesPerFrame, width]` of each given frame in `[1, tokens, width]`, as views. */
function givenRows(tokens: Tensor, { conditionFrames = [], patchesPerFrame: P }: VideoGeometry): Tensor[] {
  const rows = tokens.reshape([tokens.dim(1), tokens.dim(2)]);
  return conditionFrames.map((frame) => rows.rows(frame * P, (frame + 1) * P));
}

function contextOf(understanding: Cosmos3Understanding, index: number): KeyValue {
  const context = understanding.layer(index);
  if (context) return context;
  throw new WeightsError(
    "NO_UNDERSTANDING",
    `Cosmos 3: the prompt has no keys and values for layer ${index}`,
    { fault: "run", fix: "Make it with `understand` of the same model, and dispose it after the last step." },
  );
}
