/**
 * WanTransformer3DModel: the video diffusion transformer of Wan 2.1 and 2.2.
 * Source: diffusers `models/transformers/transformer_wan.py`.
 */

import type { AttentionModule, RotaryTables, VideoGeometry } from "@lvsa/core";
import {
  activate,
  add,
  cast,
  concat,
  type Device,
  disposeTensors,
  layerNorm,
  permute,
  ShapeError,
  type Tensor,
} from "@lvsa/runtime";
import { rotaryFrequencies, timestepEmbedding, timesteps } from "../embeddings.js";
import { feedForward } from "../feed-forward.js";
import { layerNormLayer, linearLayer, patchLayer } from "../layers.js";
import type { Parameters } from "../parameters.js";
import { toPatches } from "../patches.js";
import { latentGrid, videoGeometry } from "../video-geometry.js";
import {
  DiffusionTransformer,
  type ForwardInputs,
  type TransformerOptions,
} from "./diffusion-transformer.js";
import { attendEach, conditionsOf, eachPrediction, repeated, type WithSecond } from "./predictions.js";
import { allRows, placeOfCall, runBlocks, type VideoPlace, videoPlace } from "./run-blocks.js";
import { type WanTransformerConfig, wanTransformer } from "./transformer-wan-definition.js";
import { WanAttention } from "./wan-attention.js";

/** What tells two predictions of the same latents apart. */
export interface WanText {
  /** Text embeddings `[1, L, text_dim]`. */
  readonly encoderHiddenStates: Tensor;
}

export interface WanForwardInputs extends ForwardInputs, WithSecond<WanText> {
  /** Latents `[1, C, T, h, w]`, f32. */
  readonly latents: Tensor;
  /** One timestep, or one per video token (Wan 2.2 TI2V). */
  readonly timestep: number | ArrayLike<number>;
  /** Image embeddings `[1, 257, image_dim]` (Wan 2.1 image to video). */
  readonly encoderHiddenStatesImage?: Tensor;
}

interface Block {
  readonly selfAttention: WanAttention;
  readonly crossAttention: WanAttention;
  readonly parameters: Parameters;
}

export class WanTransformer3DModel extends DiffusionTransformer<WanTransformerConfig> {
  readonly #blocks: readonly Block[];

  constructor(device: Device, config: unknown, options?: TransformerOptions) {
    super(device, wanTransformer, config, options);
    this.#blocks = this.eachBlock("blocks", (path, index, parameters) => {
      const layer = (name: string, role: "self" | "cross") =>
        new WanAttention(
          `${this.name}.${path}${name}`,
          index,
          role,
          this.config,
          parameters.scoped(`${name}.`),
        );
      return { selfAttention: layer("attn1", "self"), crossAttention: layer("attn2", "cross"), parameters };
    });
  }

  override get temporalDim(): number {
    return this.config.attention_head_dim - 4 * Math.floor(this.config.attention_head_dim / 6);
  }

  /** All attention layers, self attention first. */
  attentionModules(): AttentionModule[] {
    return [...this.#blocks.map((b) => b.selfAttention), ...this.#blocks.map((b) => b.crossAttention)];
  }

  /** Token grid of latents `[1, C, T, h, w]`. @throws ShapeError when they do not fit channels or patch size */
  geometry(latents: Tensor, conditionFrames: readonly number[] = []): VideoGeometry {
    const grid = latentGrid("Wan", latents, this.config.in_channels);
    return videoGeometry("Wan", grid, this.config.patch_size, { conditionFrames });
  }

  /**
   * Runs one forward pass. Returns the predicted flow `[1, out_channels, T, h, w]`, with a `second` text `[2, …]`, f32, owned
   * by the caller.
   */
  async forward(inputs: WanForwardInputs): Promise<Tensor> {
    const device = this.device;
    const geometry = this.geometry(inputs.latents, inputs.conditionFrames);
    const tables = this.#rotaryTables(geometry);
    inputs.tap?.("rope_cos", tables.cos);
    inputs.tap?.("rope_sin", tables.sin);
    // 1. Patches and conditions
    const place = videoPlace(inputs, geometry, tables);
    const predictions = conditionsOf<WanText>(inputs).length;
    const first = this.#patchEmbedding(inputs.latents, geometry, predictions);
    inputs.tap?.("patch_embedded", first);
    const conditions = device.scope(() => this.#conditions(inputs, geometry, place));
    try {
      const { temb, modulation, contexts } = conditions;
      return await runBlocks(
        device,
        this.weights,
        first,
        inputs,
        // 2. Blocks
        (previous, i) => {
          const block = this.#blocks[i]!;
          const hidden = this.#block(block, previous, modulation, contexts, place);
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

  #patchEmbedding(latents: Tensor, geometry: VideoGeometry, predictions: number): Tensor {
    return this.device.scope(() => {
      const patches = toPatches(this.device, latents, geometry, this.config.patch_size);
      return repeated(this.device, patchLayer(this.parameters, "patch_embedding", patches), predictions);
    });
  }

  /** Time embedding, the six modulation rows `[6·G, C]`, and the projected context of each prediction. */
  #conditions(
    inputs: WanForwardInputs,
    geometry: VideoGeometry,
    { shard }: VideoPlace,
  ): { temb: Tensor; modulation: Tensor; contexts: readonly Tensor[] } {
    const device = this.device;
    const p = this.parameters.scoped("condition_embedder.");
    const texts = conditionsOf<WanText>(inputs);
    const own = groupTimesteps(inputs.timestep, geometry);
    // One group counts for all rows; several are those of one prediction.
    const groups = own.length === 1 ? own : texts.flatMap(() => own);
    const features = timesteps(device, groups, this.config.freq_dim);
    const temb = timestepEmbedding(features, p.scoped("time_embedder."));
    inputs.tap?.("temb", temb);
    const projected = linearLayer(p, "time_proj", activate(device, temb, "silu"), { outDtype: "f32" });
    inputs.tap?.("time_proj", projected);
    const dim = temb.dim(1);
    // Of a shard: the rows of its own frames or tokens.
    const { start, end } = shard?.groups(groups.length) ?? { start: 0, end: groups.length };
    const rows = projected.rows(start, end).reshape([end - start, 6, dim]);
    const modulation = permute(device, rows, [1, 0, 2]).reshape([6 * rows.dim(0), dim]);

    const projectedTexts = texts.map(({ encoderHiddenStates }) => {
      const hidden = linearLayer(p, "text_embedder.linear_1", encoderHiddenStates, {
        activation: "gelu_tanh",
      });
      const text = linearLayer(p, "text_embedder.linear_2", hidden, { outDtype: this.computeDtype });
      inputs.tap?.("text_projected", text);
      return text;
    });
    if (!inputs.encoderHiddenStatesImage) return { temb, modulation, contexts: projectedTexts };

    const image = this.#imageEmbedding(inputs.encoderHiddenStatesImage, p.scoped("image_embedder."));
    inputs.tap?.("image_projected", image);
    const contexts = projectedTexts.map((text) => concat(device, [image, text], 1));
    return { temb, modulation, contexts };
  }

  #imageEmbedding(embeds: Tensor, p: Parameters): Tensor {
    const device = this.device;
    const eps = 1e-5; // the default of LayerNorm, which this part does not override
    let x = embeds;
    const position = p.optional("pos_embed");
    if (position) {
      // First and last image come as two rows of a batch and become one sequence.
      x = add(device, x.reshape([x.dim(0) / 2, 2 * x.dim(1), x.dim(2)]), position);
    }
    const normed = layerNormLayer(p, "norm1", x, { eps });
    const projected = feedForward(device, normed, p.scoped("ff."), { activation: "gelu" });
    return layerNormLayer(p, "norm2", projected, { eps, outDtype: this.computeDtype });
  }

  #block(
    block: Block,
    hidden: Tensor,
    modulation: Tensor,
    contexts: readonly Tensor[],
    place: VideoPlace,
  ): Tensor {
    const device = this.device;
    const p = block.parameters;
    const eps = this.config.eps;
    const outDtype = this.computeDtype;
    const dim = hidden.dim(2);
    const groups = modulation.dim(0) / 6;
    const table = p.get("scale_shift_table").reshape([6, dim]);
    const rows = add(device, modulation, table);
    const part = (i: number) => rows.rows(i * groups, (i + 1) * groups);
    // Of one prediction: all rows have one group, or each prediction has groups of its own.
    const perPrediction = groups === 1 ? 0 : groups / contexts.length;
    const gateOf = (index: number) =>
      perPrediction === 0 ? part(2) : part(2).rows(index * perPrediction, (index + 1) * perPrediction);
    const call = { device, family: this.family, ...(place.step ? { step: place.step } : {}) };

    // 1. Self attention
    const x1 = layerNorm(device, hidden, { eps, shift: part(0), scale: part(1), outDtype });
    const { hidden: afterSelf } = attendEach(device, x1, hidden, ({ hiddenStates, residual, out }, index) =>
      this.attention.run({
        ...{ ...call, module: block.selfAttention, hiddenStates, ...placeOfCall(place) },
        epilogue: { residual, gate: gateOf(index), ...(out ? { out } : {}) },
      }),
    );
    x1.dispose();

    // 2. Cross attention
    const x2 = this.config.cross_attn_norm
      ? layerNormLayer(p, "norm2", afterSelf, { eps, outDtype })
      : cast(device, afterSelf, outDtype);
    const { hidden: afterCross } = attendEach(
      device,
      x2,
      afterSelf,
      ({ hiddenStates, residual, out }, index) =>
        this.attention.run({
          ...{ ...call, module: block.crossAttention, hiddenStates },
          encoderHiddenStates: contexts[index]!,
          epilogue: { residual, ...(out ? { out } : {}) },
        }),
    );
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
    const device = this.device;
    const dim = hidden.dim(2);
    const [pt, ph, pw] = this.config.patch_size;
    const { latentFrames: T, height: H, width: W } = geometry;
    const table = this.parameters.get("scale_shift_table").reshape([2, dim]);
    const groups = place.shard?.groups(temb.dim(0));
    const time = groups ? temb.rows(groups.start, groups.end) : temb;
    const shift = add(device, time, table.rows(0, 1).reshape([dim]));
    const scale = add(device, time, table.rows(1, 2).reshape([dim]));
    const normed = layerNorm(device, hidden, { eps: this.config.eps, shift, scale });
    const rows = linearLayer(this.parameters, "proj_out", normed, { outDtype: "f32" });
    return eachPrediction(device, allRows(device, rows, place), (patches) => {
      const channels = patches.dim(2) / (pt * ph * pw);
      // Patch order (p_t, p_h, p_w, channel), channel fastest.
      const cells = permute(device, patches.reshape([T, H, W, pt, ph, pw, channels]), [6, 0, 3, 1, 4, 2, 5]);
      return cells.reshape([1, channels, T * pt, H * ph, W * pw]);
    });
  }

  /** Source: diffusers `WanRotaryPosEmbed`. */
  #rotaryTables(geometry: VideoGeometry): RotaryTables {
    return this.gridTables(geometry, () => {
      const spatial = rotaryFrequencies(2 * Math.floor(this.config.attention_head_dim / 6));
      return { time: rotaryFrequencies(this.temporalDim), height: spatial, width: spatial };
    });
  }
}

/** One timestep per group of rows: 1 group when all are equal, one per frame, or one per token. */
function groupTimesteps(timestep: number | ArrayLike<number>, geometry: VideoGeometry): number[] {
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
