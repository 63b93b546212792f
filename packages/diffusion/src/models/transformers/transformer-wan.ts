/**
 * WanTransformer3DModel: the video diffusion transformer of Wan 2.1 and 2.2.
 * Source: diffusers `models/transformers/transformer_wan.py`. Batch 1: guidance runs as two passes.
 *
 * The residual stream is f32 (its values exceed the f16 range); with `computeDtype` f16 everything between two
 * additions to it is stored as f16.
 */

import type { TemporalFrequencies } from "@lvsa/core";
import {
  AttentionDispatcher,
  type AttentionModule,
  type RotaryTables,
  type StepInfo,
  type VideoGeometry,
} from "@lvsa/core";
import {
  activate,
  add,
  cast,
  concat,
  type Device,
  disposeTensors,
  type FloatDType,
  layerNorm,
  linear,
  permute,
  ShapeError,
  type Tensor,
  type WeightSource,
} from "@lvsa/runtime";
import { ModelWeights } from "../definition/model-weights.js";
import {
  integerPositions,
  rotaryFrequencies,
  rotaryGrid,
  timestepEmbedding,
  timestepFeatures,
} from "../embeddings.js";
import { feedForward } from "../feed-forward.js";
import { type LoadOptions, Parameters } from "../parameters.js";
import { toPatches } from "../patches.js";
import { RotaryCache } from "../rotary-cache.js";
import { videoGeometry } from "../video-geometry.js";
import { BlockWeights } from "./block-weights.js";
import type { Tap } from "./forward-hooks.js";
import {
  allRows,
  type PassControl,
  placeOfCall,
  runBlocks,
  type VideoPlace,
  videoPlace,
} from "./run-blocks.js";
import { type WanTransformerConfig, wanTransformer } from "./transformer-wan-definition.js";
import { WanAttention } from "./wan-attention.js";

export interface WanForwardInputs extends PassControl {
  /** Latents `[1, C, T, h, w]`, f32. */
  readonly latents: Tensor;
  /** One timestep, or one per video token (Wan 2.2 TI2V). */
  readonly timestep: number | ArrayLike<number>;
  /** Text embeddings `[1, L, text_dim]`. */
  readonly encoderHiddenStates: Tensor;
  /** Image embeddings `[1, 257, image_dim]` (Wan 2.1 image to video). */
  readonly encoderHiddenStatesImage?: Tensor;
  /** Latent frames whose content is given (image to video), for sparse attention. Default: none. */
  readonly conditionFrames?: readonly number[] | undefined;
  readonly step?: StepInfo;
  readonly tap?: Tap;
}

interface Block {
  readonly selfAttention: WanAttention;
  readonly crossAttention: WanAttention;
  readonly parameters: Parameters;
}

export class WanTransformer3DModel {
  readonly family = "wan";
  readonly config: WanTransformerConfig;
  readonly attention: AttentionDispatcher;
  /** Storage type between residual additions. */
  computeDtype: FloatDType = "f32";
  /** Set to change the time axis of the rotary embedding; takes effect at the next forward pass. */
  temporalFrequencies: TemporalFrequencies | undefined;
  readonly #device: Device;
  readonly #parameters: Parameters;
  readonly #weights: BlockWeights;
  readonly #blocks: Block[];
  readonly #rotary: RotaryCache;

  constructor(
    device: Device,
    config: WanTransformerConfig,
    parameters: Parameters,
    attention = new AttentionDispatcher(),
    name = "transformer",
  ) {
    this.config = config;
    this.attention = attention;
    this.#device = device;
    this.#parameters = parameters;
    this.#weights = new BlockWeights(parameters, wanTransformer, config.num_layers);
    this.#rotary = new RotaryCache(device);
    this.#blocks = Array.from({ length: config.num_layers }, (_, i) => {
      const scope = parameters.scoped(`blocks.${i}.`);
      const layer = (kind: "attn1" | "attn2") =>
        new WanAttention(
          `${name}.blocks.${i}.${kind}`,
          i,
          kind === "attn1" ? "self" : "cross",
          config,
          scope.scoped(`${kind}.`),
        );
      return { selfAttention: layer("attn1"), crossAttention: layer("attn2"), parameters: scope };
    });
  }

  /** A model without weights yet; `config` is the parsed `config.json`. See `load`. @throws ConfigError */
  static create(
    device: Device,
    config: unknown,
    options: { readonly attention?: AttentionDispatcher; readonly name?: string } = {},
  ): WanTransformer3DModel {
    const parsed = wanTransformer.configToRun(config, `${options.name ?? "transformer"}/config.json`);
    return new WanTransformer3DModel(device, parsed, new Parameters(device), options.attention, options.name);
  }

  /** Checks the weights against the definition and streams them onto the GPU, unless they are there. @throws WeightsError */
  async load(source: WeightSource, options: LoadOptions = {}): Promise<void> {
    if (this.isLoaded) return;
    await this.#weights.load(ModelWeights.check(wanTransformer, this.config, source, options), options);
  }

  /** Channels of a head that encode time; what `temporalFrequencies` changes. */
  get temporalDim(): number {
    return this.config.attention_head_dim - 4 * Math.floor(this.config.attention_head_dim / 6);
  }

  get isLoaded(): boolean {
    return this.#weights.isLoaded;
  }

  /** Frees the weights; `load` brings them back. */
  unload(): void {
    this.#rotary[Symbol.dispose]();
    this.#weights.unload();
  }

  /** All attention layers, self attention first. */
  attentionModules(): AttentionModule[] {
    return [...this.#blocks.map((b) => b.selfAttention), ...this.#blocks.map((b) => b.crossAttention)];
  }

  /** Token grid of latents `[1, C, T, h, w]`. @throws ShapeError when they do not fit the patch size */
  geometry(latents: Tensor, conditionFrames: readonly number[] = []): VideoGeometry {
    const [, channels, frames, height, width] = latents.shape;
    if (latents.shape.length !== 5 || latents.dim(0) !== 1 || channels !== this.config.in_channels) {
      throw new ShapeError(
        "SHAPE_MISMATCH",
        `Wan: latents must be [1, ${this.config.in_channels}, T, h, w], got [${latents.shape.join(", ")}]`,
      );
    }
    const grid = { frames: frames!, height: height!, width: width! };
    return videoGeometry("Wan", grid, this.config.patch_size, { conditionFrames });
  }

  /** Runs one forward pass. Returns the predicted flow `[1, out_channels, T, h, w]`, f32, owned by the caller. */
  async forward(inputs: WanForwardInputs): Promise<Tensor> {
    const device = this.#device;
    const geometry = this.geometry(inputs.latents, inputs.conditionFrames);
    const tables = this.#rotaryTables(geometry);
    inputs.tap?.("rope_cos", tables.cos);
    inputs.tap?.("rope_sin", tables.sin);
    // 1. Patches and conditions
    const place = videoPlace(inputs, geometry, tables);
    const first = this.#patchEmbedding(inputs.latents, geometry);
    inputs.tap?.("patch_embedded", first);
    const conditions = device.scope(() => this.#conditions(inputs, geometry, place));
    try {
      const { temb, modulation, context } = conditions;
      return await runBlocks(
        device,
        this.#weights,
        first,
        inputs,
        // 2. Blocks
        (previous, i) => {
          const block = this.#blocks[i]!;
          const hidden = this.#block(block, previous, modulation, context, place, inputs.step);
          inputs.tap?.(`block${i}`, hidden);
          return hidden;
        },
        // 3. Output norm, projection, unpatchify
        (hidden) => this.#output(hidden, temb, geometry, place),
        { embeddings: { temb, timeProj: modulation }, shard: place.shard },
      );
    } finally {
      disposeTensors({ ...conditions });
    }
  }

  dispose(): void {
    this.unload();
  }

  #patchEmbedding(latents: Tensor, geometry: VideoGeometry): Tensor {
    const device = this.#device;
    return device.scope(() => {
      const patches = toPatches(device, latents, geometry, this.config.patch_size);
      const weight = this.#parameters.get("patch_embedding.weight");
      return linear(device, patches, weight.reshape([weight.dim(0), weight.size / weight.dim(0)]), {
        bias: this.#parameters.get("patch_embedding.bias"),
        outDtype: "f32",
      });
    });
  }

  /** Time embedding, the six modulation rows `[6·G, C]`, and the projected context. */
  #conditions(
    inputs: WanForwardInputs,
    geometry: VideoGeometry,
    { shard }: VideoPlace,
  ): { temb: Tensor; modulation: Tensor; context: Tensor } {
    const device = this.#device;
    const p = this.#parameters.scoped("condition_embedder.");
    const timesteps = groupTimesteps(inputs.timestep, geometry);
    const groups = timesteps.length;
    const features = device.upload(timestepFeatures(timesteps, this.config.freq_dim), [
      groups,
      this.config.freq_dim,
    ]);
    const temb = timestepEmbedding(device, features, p.scoped("time_embedder."));
    inputs.tap?.("temb", temb);
    const projected = linear(device, activate(device, temb, "silu"), p.get("time_proj.weight"), {
      bias: p.get("time_proj.bias"),
      outDtype: "f32",
    });
    inputs.tap?.("time_proj", projected);
    const dim = temb.dim(1);
    // Of a shard: the rows of its own frames or tokens.
    const own = shard?.groups(groups) ?? { start: 0, end: groups };
    const rows = projected.rows(own.start, own.end).reshape([own.end - own.start, 6, dim]);
    const modulation = permute(device, rows, [1, 0, 2]).reshape([6 * rows.dim(0), dim]);

    const hidden = linear(device, inputs.encoderHiddenStates, p.get("text_embedder.linear_1.weight"), {
      bias: p.get("text_embedder.linear_1.bias"),
      activation: "gelu_tanh",
    });
    const text = linear(device, hidden, p.get("text_embedder.linear_2.weight"), {
      bias: p.get("text_embedder.linear_2.bias"),
      outDtype: this.computeDtype,
    });
    inputs.tap?.("text_projected", text);
    if (!inputs.encoderHiddenStatesImage) return { temb, modulation, context: text };

    const image = this.#imageEmbedding(inputs.encoderHiddenStatesImage, p.scoped("image_embedder."));
    inputs.tap?.("image_projected", image);
    return { temb, modulation, context: concat(device, [image, text], 1) };
  }

  #imageEmbedding(embeds: Tensor, p: Parameters): Tensor {
    const device = this.#device;
    const eps = 1e-5; // the default of LayerNorm, which this part does not override
    let x = embeds;
    const position = p.optional("pos_embed");
    if (position) {
      // First and last image come as two rows of a batch and become one sequence.
      x = add(device, x.reshape([x.dim(0) / 2, 2 * x.dim(1), x.dim(2)]), position);
    }
    const normed = layerNorm(device, x, { weight: p.get("norm1.weight"), bias: p.get("norm1.bias"), eps });
    const projected = feedForward(device, normed, p.scoped("ff."), { activation: "gelu" });
    return layerNorm(device, projected, {
      weight: p.get("norm2.weight"),
      bias: p.get("norm2.bias"),
      eps,
      outDtype: this.computeDtype,
    });
  }

  #block(
    block: Block,
    hidden: Tensor,
    modulation: Tensor,
    context: Tensor,
    place: VideoPlace,
    step: StepInfo | undefined,
  ): Tensor {
    const device = this.#device;
    const p = block.parameters;
    const eps = this.config.eps;
    const outDtype = this.computeDtype;
    const dim = hidden.dim(2);
    const groups = modulation.dim(0) / 6;
    const table = p.get("scale_shift_table").reshape([6, dim]);
    const rows = add(device, modulation, table);
    const part = (i: number) => rows.rows(i * groups, (i + 1) * groups);
    const call = { device, family: this.family, ...(step ? { step } : {}) };

    // 1. Self attention
    const x1 = layerNorm(device, hidden, { eps, shift: part(0), scale: part(1), outDtype });
    const afterSelf = this.attention.run({
      ...call,
      module: block.selfAttention,
      hiddenStates: x1,
      ...placeOfCall(place),
      epilogue: { residual: hidden, gate: part(2) },
    }).hiddenStates;
    x1.dispose();

    // 2. Cross attention
    const x2 = this.config.cross_attn_norm
      ? layerNorm(device, afterSelf, {
          eps,
          weight: p.get("norm2.weight"),
          bias: p.get("norm2.bias"),
          outDtype,
        })
      : cast(device, afterSelf, outDtype);
    const afterCross = this.attention.run({
      ...call,
      module: block.crossAttention,
      hiddenStates: x2,
      encoderHiddenStates: context,
      epilogue: { residual: afterSelf },
    }).hiddenStates;
    x2.dispose();
    afterSelf.dispose();

    // 3. Feed-forward
    const x3 = layerNorm(device, afterCross, { eps, shift: part(3), scale: part(4), outDtype });
    return feedForward(device, x3, p.scoped("ffn."), {
      activation: "gelu_tanh",
      residual: afterCross,
      gate: part(5),
      outDtype: "f32",
    });
  }

  #output(hidden: Tensor, temb: Tensor, geometry: VideoGeometry, place: VideoPlace): Tensor {
    const device = this.#device;
    const dim = hidden.dim(2);
    const [pt, ph, pw] = this.config.patch_size;
    const { latentFrames: T, height: H, width: W } = geometry;
    const table = this.#parameters.get("scale_shift_table").reshape([2, dim]);
    const groups = place.shard?.groups(temb.dim(0));
    const time = groups ? temb.rows(groups.start, groups.end) : temb;
    const shift = add(device, time, table.rows(0, 1).reshape([dim]));
    const scale = add(device, time, table.rows(1, 2).reshape([dim]));
    const normed = layerNorm(device, hidden, { eps: this.config.eps, shift, scale });
    const rows = linear(device, normed, this.#parameters.get("proj_out.weight"), {
      bias: this.#parameters.get("proj_out.bias"),
      outDtype: "f32",
    });
    const patches = allRows(device, rows, place);
    const channels = patches.dim(2) / (pt * ph * pw);
    // Patch order (p_t, p_h, p_w, channel), channel fastest.
    return permute(device, patches.reshape([T, H, W, pt, ph, pw, channels]), [6, 0, 3, 1, 4, 2, 5]).reshape([
      1,
      channels,
      T * pt,
      H * ph,
      W * pw,
    ]);
  }

  /** Rotary tables of a grid, kept until the grid changes. Source: diffusers `WanRotaryPosEmbed`. */
  #rotaryTables(geometry: VideoGeometry): RotaryTables {
    const change = this.temporalFrequencies;
    return this.#rotary.tables(
      `${geometry.latentFrames}x${geometry.height}x${geometry.width}`,
      change,
      () => {
        const spatial = 2 * Math.floor(this.config.attention_head_dim / 6);
        const temporal = rotaryFrequencies(this.config.attention_head_dim - 2 * spatial);
        const ladder = rotaryFrequencies(spatial);
        return rotaryGrid(
          { positions: integerPositions(geometry.latentFrames), frequencies: change?.(temporal) ?? temporal },
          { positions: integerPositions(geometry.height), frequencies: ladder },
          { positions: integerPositions(geometry.width), frequencies: ladder },
        );
      },
    );
  }
}

/** One timestep per group of rows: 1 group when all are equal, one per frame, or one per token. */
export function groupTimesteps(timestep: number | ArrayLike<number>, geometry: VideoGeometry): number[] {
  if (typeof timestep === "number") return [timestep];
  const tokens = geometry.latentFrames * geometry.patchesPerFrame;
  if (timestep.length === 1) return [timestep[0]!];
  if (timestep.length !== tokens) {
    throw new ShapeError(
      "SHAPE_MISMATCH",
      `${timestep.length} timesteps were given for ${tokens} video tokens`,
    );
  }
  const all = Array.from(timestep);
  if (all.every((t) => t === all[0])) return [all[0]!];
  const P = geometry.patchesPerFrame;
  const perFrame = all.every((t, i) => t === all[i - (i % P)]);
  return perFrame ? Array.from({ length: geometry.latentFrames }, (_, f) => all[f * P]!) : all;
}
