/**
 * CogVideoXTransformer3DModel: the video diffusion transformer of CogVideoX 2B, 5B and 1.5.
 * Source: diffusers `models/transformers/cogvideox_transformer_3d.py`. Batch 1: guidance runs as two passes.
 *
 * Video and text share all weights of a block and stay two tensors. Both residual streams are f32; with
 * `computeDtype` f16 everything between two additions to them is stored as f16.
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
  type Device,
  type FloatDType,
  layerNorm,
  linear,
  permute,
  ShapeError,
  type Tensor,
  type WeightSource,
} from "@lvsa/runtime";
import { ModelWeights } from "../definition/model-weights.js";
import { rotaryGrid, timestepEmbedding, timestepFeatures } from "../embeddings.js";
import { feedForward } from "../feed-forward.js";
import { type LoadOptions, Parameters } from "../parameters.js";
import { RotaryCache } from "../rotary-cache.js";
import { videoGeometry } from "../video-geometry.js";
import { BlockWeights } from "./block-weights.js";
import { CogVideoXAttention } from "./cogvideox-attention.js";
import {
  checkLearnedPositions,
  cogVideoXRotaryAxes,
  cogVideoXSinCosTable,
  hasLearnedLength,
} from "./cogvideox-positions.js";
import type { Tap } from "./forward-hooks.js";
import {
  allRows,
  type PassControl,
  placeOfCall,
  runJointBlocks,
  type Streams,
  type VideoPlace,
  videoPlace,
} from "./run-blocks.js";
import { type CogVideoXTransformerConfig, cogVideoXTransformer } from "./transformer-cogvideox-definition.js";

export interface CogVideoXForwardInputs extends PassControl {
  /** Latents `[1, T, C, h, w]` f32: frames before channels; those of an image behind the noisy ones of each frame. */
  readonly latents: Tensor;
  /** 0 to 999. */
  readonly timestep: number;
  /** Text embeddings `[1, L, text_embed_dim]`, padding included. */
  readonly encoderHiddenStates: Tensor;
  /** Latent frames whose content is given (image to video), for sparse attention. Default: none. */
  readonly conditionFrames?: readonly number[] | undefined;
  readonly step?: StepInfo | undefined;
  readonly tap?: Tap | undefined;
}

/** What image to video of 1.5 always gets as `ofs`. */
const OFS = 2;

/** What is added to the embedded streams; `text` only where it is not zero. */
interface Positions {
  readonly video: Tensor;
  readonly text: Tensor | undefined;
}

interface Block {
  readonly attention: CogVideoXAttention;
  readonly parameters: Parameters;
}

/** What all blocks of a forward pass share. */
interface BlockInputs {
  /** SiLU of the time embedding, `[1, time_embed_dim]`. */
  readonly activatedTemb: Tensor;
  readonly place: VideoPlace;
  readonly step: StepInfo | undefined;
}

export class CogVideoXTransformer3DModel {
  readonly family = "cogvideox";
  readonly config: CogVideoXTransformerConfig;
  readonly attention: AttentionDispatcher;
  /** Storage type between residual additions. */
  computeDtype: FloatDType = "f32";
  /** Set to change the time axis of the rotary embedding (5B and 1.5). */
  temporalFrequencies: TemporalFrequencies | undefined;
  readonly #device: Device;
  readonly #parameters: Parameters;
  readonly #weights: BlockWeights;
  readonly #blocks: Block[];
  readonly #rotary: RotaryCache;
  #positions: { key: string; table: Tensor } | undefined;

  constructor(
    device: Device,
    config: CogVideoXTransformerConfig,
    parameters: Parameters,
    attention = new AttentionDispatcher(),
    name = "transformer",
  ) {
    this.config = config;
    this.attention = attention;
    this.#device = device;
    this.#parameters = parameters;
    this.#weights = new BlockWeights(parameters, cogVideoXTransformer, config.num_layers);
    this.#rotary = new RotaryCache(device);
    this.#blocks = Array.from({ length: config.num_layers }, (_, i) => {
      const path = `transformer_blocks.${i}.`;
      const scope = parameters.scoped(path);
      return {
        attention: new CogVideoXAttention(`${name}.${path}attn1`, i, config, scope.scoped("attn1.")),
        parameters: scope,
      };
    });
  }

  /** A model without weights yet; `config` is the parsed `config.json`. See `load`. */
  static create(
    device: Device,
    config: unknown,
    options: { readonly attention?: AttentionDispatcher; readonly name?: string } = {},
  ): CogVideoXTransformer3DModel {
    const parsed = cogVideoXTransformer.configToRun(config, `${options.name ?? "transformer"}/config.json`);
    return new CogVideoXTransformer3DModel(
      device,
      parsed,
      new Parameters(device),
      options.attention,
      options.name,
    );
  }

  /** Streams the weights onto the GPU, unless they are there. */
  async load(source: WeightSource, options: LoadOptions = {}): Promise<void> {
    if (this.isLoaded) return;
    const weights = ModelWeights.check(cogVideoXTransformer, this.config, source, options);
    await this.#weights.load(weights, options);
  }

  /** Channels of a head that encode time; what `temporalFrequencies` changes. None with added positions (2B). */
  get temporalDim(): number | undefined {
    return this.config.use_rotary_positional_embeddings
      ? Math.floor(this.config.attention_head_dim / 4)
      : undefined;
  }

  get isLoaded(): boolean {
    return this.#weights.isLoaded;
  }

  /** Frees the weights and tables; `load` brings them back. */
  unload(): void {
    this.#rotary[Symbol.dispose]();
    this.#positions?.table.dispose();
    this.#positions = undefined;
    this.#weights.unload();
  }

  dispose(): void {
    this.unload();
  }

  attentionModules(): AttentionModule[] {
    return this.#blocks.map((block) => block.attention);
  }

  /** Token grid of latents `[1, T, C, h, w]`. @throws ShapeError when they do not fit channels or patch size */
  geometry(latents: Tensor, conditionFrames: readonly number[] = []): VideoGeometry {
    const { shape } = latents;
    const { in_channels: channels, patch_size: p, patch_size_t } = this.config;
    if (shape.length !== 5 || shape[0] !== 1 || shape[2] !== channels) {
      throw new ShapeError(
        "SHAPE_MISMATCH",
        `CogVideoX: latents must be [1, T, ${channels}, h, w], got [${shape.join(", ")}]`,
      );
    }
    const [, frames, , height, width] = shape as [number, number, number, number, number];
    return videoGeometry("CogVideoX", { frames, height, width }, [patch_size_t ?? 1, p, p], {
      conditionFrames,
    });
  }

  /** Runs one forward pass. Returns the prediction `[1, T, out_channels, h, w]`, f32, owned by the caller. */
  async forward(inputs: CogVideoXForwardInputs): Promise<Tensor> {
    const device = this.#device;
    const { tap } = inputs;
    const geometry = this.geometry(inputs.latents, inputs.conditionFrames);
    const tables = this.config.use_rotary_positional_embeddings ? this.#rotaryTables(geometry) : undefined;
    if (tables) {
      tap?.("rope_cos", tables.cos);
      tap?.("rope_sin", tables.sin);
    }
    // 1. Time, patches, text
    const start = device.scope(() => {
      const temb = this.#timeEmbedding(inputs.timestep, tap);
      return {
        activatedTemb: activate(device, temb, "silu"),
        streams: this.#embed(inputs, geometry, this.#addedPositions(inputs, geometry)),
      };
    });
    tap?.("patch_embed.hidden", start.streams.hidden);
    tap?.("patch_embed.encoder", start.streams.encoder);
    const { activatedTemb } = start;
    const place = videoPlace(inputs, geometry, tables);
    const shared = { activatedTemb, place, step: inputs.step };
    return runJointBlocks(
      device,
      this.#weights,
      start,
      inputs,
      // 2. Blocks
      (streams, i) => this.#block(this.#blocks[i]!, streams, shared),
      // 3. Output norm, projection, unpatchify
      (hidden) => this.#output(hidden, activatedTemb, geometry, place),
      place.shard,
    );
  }

  #timeEmbedding(timestep: number, tap: Tap | undefined): Tensor {
    const device = this.#device;
    const embed = (value: number, width: number, name: string) => {
      const features = device.upload(timestepFeatures([value], width), [1, width]);
      return timestepEmbedding(device, features, this.#parameters.scoped(`${name}.`));
    };
    const { num_attention_heads: heads, attention_head_dim: headDim, ofs_embed_dim: ofsWidth } = this.config;
    const temb = embed(timestep, heads * headDim, "time_embedding");
    tap?.("temb", temb);
    if (!ofsWidth) return temb;
    const ofs = embed(OFS, ofsWidth, "ofs_embedding");
    tap?.("ofs_embed", ofs);
    return add(device, temb, ofs);
  }

  #embed(inputs: CogVideoXForwardInputs, geometry: VideoGeometry, positions: Positions | undefined): Streams {
    const device = this.#device;
    const p = this.#parameters.scoped("patch_embed.");
    const { latentFrames: T, height: H, width: W } = geometry;
    const { in_channels: C, patch_size: s, patch_size_t } = this.config;
    const pt = patch_size_t ?? 1;
    // Feature order (channel, time, row, column), channel slowest.
    const patches = permute(
      device,
      inputs.latents.reshape([T, pt, C, H, s, W, s]),
      [0, 3, 5, 2, 1, 4, 6],
    ).reshape([1, T * H * W, C * pt * s * s]);
    const weight = p.get("proj.weight");
    const hidden = linear(device, patches, weight.reshape([weight.dim(0), weight.size / weight.dim(0)]), {
      bias: p.optional("proj.bias"),
      ...(positions ? { residual: positions.video } : {}),
      outDtype: "f32",
    });
    const encoder = linear(device, inputs.encoderHiddenStates, p.get("text_proj.weight"), {
      bias: p.get("text_proj.bias"),
      ...(positions?.text ? { residual: positions.text } : {}),
      outDtype: "f32",
    });
    return { hidden, encoder };
  }

  #block(block: Block, { hidden, encoder }: Streams, shared: BlockInputs): Streams {
    const device = this.#device;
    const p = block.parameters;
    // 1. Joint attention. Rows: shift, scale, gate of the video, then of the text.
    const first = this.#modulation(p, "norm1", shared.activatedTemb);
    const result = this.attention.run({
      device,
      family: this.family,
      module: block.attention,
      hiddenStates: this.#modulated(p, "norm1", hidden, first, 0),
      encoderHiddenStates: this.#modulated(p, "norm1", encoder, first, 3),
      ...placeOfCall(shared.place),
      ...(shared.step ? { step: shared.step } : {}),
      epilogue: { residual: hidden, gate: first.rows(2, 3) },
      encoderEpilogue: { residual: encoder, gate: first.rows(5, 6) },
    });
    const attended = result.encoderHiddenStates;
    if (!attended) {
      throw new ShapeError(
        "MISSING_STREAM",
        `${block.attention.name}: the processor returned no encoder stream`,
        {
          fix: "A processor of joint attention returns hiddenStates and encoderHiddenStates.",
        },
      );
    }
    // 2. Feed-forward, the same weights for both streams
    const second = this.#modulation(p, "norm2", shared.activatedTemb);
    const stream = (x: Tensor, at: number) =>
      feedForward(device, this.#modulated(p, "norm2", x, second, at), p.scoped("ff."), {
        activation: "gelu_tanh",
        residual: x,
        gate: second.rows(at + 2, at + 3),
        outDtype: "f32",
      });
    return { hidden: stream(result.hiddenStates, 0), encoder: stream(attended, 3) };
  }

  #modulation(p: Parameters, name: string, activatedTemb: Tensor): Tensor {
    const rows = linear(this.#device, activatedTemb, p.get(`${name}.linear.weight`), {
      bias: p.get(`${name}.linear.bias`),
    });
    return rows.reshape([6, rows.dim(1) / 6]);
  }

  #modulated(p: Parameters, name: string, x: Tensor, modulation: Tensor, at: number): Tensor {
    return layerNorm(this.#device, x, {
      weight: p.optional(`${name}.norm.weight`),
      bias: p.optional(`${name}.norm.bias`),
      eps: this.config.norm_eps,
      shift: modulation.rows(at, at + 1),
      scale: modulation.rows(at + 1, at + 2),
      outDtype: this.computeDtype,
    });
  }

  #output(hidden: Tensor, activatedTemb: Tensor, geometry: VideoGeometry, place: VideoPlace): Tensor {
    const device = this.#device;
    const p = this.#parameters;
    const eps = this.config.norm_eps;
    const normed = layerNorm(device, hidden, {
      weight: p.optional("norm_final.weight"),
      bias: p.optional("norm_final.bias"),
      eps,
    });
    const table = linear(device, activatedTemb, p.get("norm_out.linear.weight"), {
      bias: p.get("norm_out.linear.bias"),
    }).reshape([2, hidden.dim(2)]);
    const modulated = layerNorm(device, normed, {
      weight: p.optional("norm_out.norm.weight"),
      bias: p.optional("norm_out.norm.bias"),
      eps,
      shift: table.rows(0, 1),
      scale: table.rows(1, 2),
    });
    const rows = linear(device, modulated, p.get("proj_out.weight"), {
      bias: p.get("proj_out.bias"),
      outDtype: "f32",
    });
    const patches = allRows(device, rows, place);
    const { latentFrames: T, height: H, width: W } = geometry;
    const { patch_size: s, patch_size_t } = this.config;
    const pt = patch_size_t ?? 1;
    const C = patches.dim(2) / (pt * s * s);
    return permute(device, patches.reshape([T, H, W, C, pt, s, s]), [0, 4, 3, 1, 5, 2, 6]).reshape([
      1,
      T * pt,
      C,
      H * s,
      W * s,
    ]);
  }

  #rotaryTables(geometry: VideoGeometry): RotaryTables {
    const { latentFrames, height, width } = geometry;
    const change = this.temporalFrequencies;
    return this.#rotary.tables(`${latentFrames}x${height}x${width}`, change, () =>
      rotaryGrid(...cogVideoXRotaryAxes(this.config, geometry, change)),
    );
  }

  /** Of the 2B model, and of image to video besides the rotary ones; none otherwise. Views: for a scope. */
  #addedPositions(inputs: CogVideoXForwardInputs, geometry: VideoGeometry): Positions | undefined {
    const { config } = this;
    if (config.use_learned_positional_embeddings) {
      const text = inputs.encoderHiddenStates.dim(1);
      checkLearnedPositions(config, geometry, text);
      if (hasLearnedLength(config, geometry)) {
        const table = this.#parameters.get("patch_embed.pos_embedding");
        const [, rows, width] = table.shape as [number, number, number];
        const flat = table.reshape([rows, width]);
        const part = (start: number, end: number) => flat.rows(start, end).reshape([1, end - start, width]);
        return { text: part(0, text), video: part(text, rows) };
      }
    } else if (config.use_rotary_positional_embeddings) return undefined;
    return { video: this.#sinCosTable(geometry), text: undefined };
  }

  /** The 2B model's position table `[1, tokens, C]`, kept until the grid changes. */
  #sinCosTable(geometry: VideoGeometry): Tensor {
    const key = `${geometry.latentFrames}x${geometry.height}x${geometry.width}`;
    if (this.#positions?.key === key) return this.#positions.table;
    this.#positions?.table.dispose();
    const values = cogVideoXSinCosTable(this.config, geometry);
    const tokens = geometry.latentFrames * geometry.patchesPerFrame;
    const table = this.#device.upload(values, [1, tokens, values.length / tokens], "f32", {
      pinned: true,
      label: "positions",
    });
    this.#positions = { key, table };
    return table;
  }
}
