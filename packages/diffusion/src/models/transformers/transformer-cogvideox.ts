/**
 * CogVideoXTransformer3DModel: the video diffusion transformer of CogVideoX 2B, 5B and 1.5.
 * Source: diffusers `models/transformers/cogvideox_transformer_3d.py`.
 *
 * Video and text share all weights of a block and stay two tensors.
 */
import type { PatchSize, RotaryTables, VideoGeometry } from "@lvsa/core";
import { activate, add, type Device, permute, type Tensor } from "@lvsa/runtime";
import { rotaryGrid, timestepEmbedding, timesteps } from "../embeddings.js";
import { feedForward } from "../feed-forward.js";
import { layerNormLayer, linearLayer, patchLayer } from "../layers.js";
import type { Parameters } from "../parameters.js";
import { latentGrid, videoGeometry } from "../video-geometry.js";
import { CogVideoXAttention } from "./cogvideox-attention.js";
import {
  checkLearnedPositions,
  cogVideoXRotaryAxes,
  cogVideoXSinCosTable,
  hasLearnedLength,
} from "./cogvideox-positions.js";
import type { ForwardInputs, TransformerOptions } from "./diffusion-transformer.js";
import type { Tap } from "./forward-hooks.js";
import {
  type JointBlock,
  type JointPass,
  JointTransformer,
  modulation,
  type Streams,
} from "./joint-transformer.js";
import { conditionsOf, eachPrediction, joined, repeated, type WithSecond } from "./predictions.js";
import { allRows, videoPlace } from "./run-blocks.js";
import { type CogVideoXTransformerConfig, cogVideoXTransformer } from "./transformer-cogvideox-definition.js";

/** What tells two predictions of the same latents apart. */
export interface CogVideoXText {
  /** Text embeddings `[1, L, text_embed_dim]`, padding included. */
  readonly encoderHiddenStates: Tensor;
}

export interface CogVideoXForwardInputs extends ForwardInputs, WithSecond<CogVideoXText> {
  /** Latents `[1, T, C, h, w]` f32: frames before channels; those of an image behind the noisy ones of each frame. */
  readonly latents: Tensor;
  /** 0 to 999. */
  readonly timestep: number;
}

/** What image to video of 1.5 always gets as `ofs`. */
const OFS = 2;

/** What is added to the embedded streams; `text` only where it is not zero. */
interface Positions {
  readonly video: Tensor;
  readonly text: Tensor | undefined;
}

export class CogVideoXTransformer3DModel extends JointTransformer<CogVideoXTransformerConfig> {
  #positions: { key: string; table: Tensor } | undefined;

  constructor(device: Device, config: unknown, options?: TransformerOptions) {
    super(device, cogVideoXTransformer, config, options, { name: "attn1", class: CogVideoXAttention });
  }

  /** None with added positions (2B). */
  override get temporalDim(): number | undefined {
    const { use_rotary_positional_embeddings: isRotary, attention_head_dim: headDim } = this.config;
    return isRotary ? Math.floor(headDim / 4) : undefined;
  }

  override unload(): void {
    this.#positions?.table.dispose();
    this.#positions = undefined;
    super.unload();
  }

  get patchSize(): PatchSize {
    const { patch_size_t, patch_size: s } = this.config;
    return [patch_size_t ?? 1, s, s];
  }

  /** Token grid of latents `[1, T, C, h, w]`. @throws ShapeError when they do not fit channels or patch size */
  geometry(latents: Tensor, conditionFrames: readonly number[] = []): VideoGeometry {
    const grid = latentGrid("CogVideoX", latents, this.config.in_channels, { framesFirst: true });
    return videoGeometry("CogVideoX", grid, this.patchSize, { conditionFrames });
  }

  /**
   * Runs one forward pass. Returns the prediction `[1, T, out_channels, h, w]`, with a `second` text `[2, …]`, f32, owned by
   * the caller.
   */
  async forward(inputs: CogVideoXForwardInputs): Promise<Tensor> {
    const { device } = this;
    const { tap } = inputs;
    const geometry = this.geometry(inputs.latents, inputs.conditionFrames);
    const tables = this.config.use_rotary_positional_embeddings ? this.#rotaryTables(geometry) : undefined;
    if (tables) {
      tap?.("rope_cos", tables.cos);
      tap?.("rope_sin", tables.sin);
    }
    const start = device.scope(() => {
      const temb = this.#timeEmbedding(inputs.timestep, tap);
      const activatedTemb = activate(device, temb, "silu");
      return {
        activatedTemb,
        streams: this.#embed(inputs, geometry),
      };
    });
    tap?.("patch_embed.hidden", start.streams.hidden);
    for (const encoder of start.streams.encoders) tap?.("patch_embed.encoder", encoder);
    return this.run(start, inputs, videoPlace(inputs, geometry, tables));
  }

  #timeEmbedding(timestep: number, tap: Tap | undefined): Tensor {
    const { device } = this;
    const embed = (value: number, width: number, name: string) =>
      timestepEmbedding(timesteps(device, [value], width), this.parameters.scoped(`${name}.`));
    const { num_attention_heads: heads, attention_head_dim: headDim, ofs_embed_dim: ofsWidth } = this.config;
    const temb = embed(timestep, heads * headDim, "time_embedding");
    tap?.("temb", temb);
    if (!ofsWidth) return temb;
    const ofs = embed(OFS, ofsWidth, "ofs_embedding");
    tap?.("ofs_embed", ofs);
    return add(device, temb, ofs);
  }

  #embed(inputs: CogVideoXForwardInputs, geometry: VideoGeometry): Streams {
    const { latents } = inputs;
    const { latentFrames: T, height: H, width: W } = geometry;
    const texts = conditionsOf<CogVideoXText>(inputs);
    const positions = texts.map((text) => this.#addedPositions(text, geometry));
    const p = this.parameters.scoped("patch_embed.");
    const [pt, s] = this.patchSize;
    const C = this.config.in_channels;
    // Feature order (channel, time, row, column), channel slowest.
    const cells = permute(this.device, latents.reshape([T, pt, C, H, s, W, s]), [0, 3, 5, 2, 1, 4, 6]);
    const patches = cells.reshape([1, T * H * W, C * pt * s * s]);
    const video = positions.map((one) => one?.video);
    const hidden =
      // Learned positions of the video begin behind the text: predictions with texts of two lengths differ in them.
      this.config.use_learned_positional_embeddings
        ? joined(
            this.device,
            video.map((residual) => patchLayer(p, "proj", patches, { residual })),
          )
        : repeated(this.device, patchLayer(p, "proj", patches, { residual: video[0] }), texts.length);
    const encoders = texts.map(({ encoderHiddenStates }, index) =>
      linearLayer(p, "text_proj", encoderHiddenStates, {
        residual: positions[index]?.text,
        outDtype: "f32",
      }),
    );
    return { hidden, encoders };
  }

  protected block(block: JointBlock, streams: Streams, pass: JointPass): Streams {
    const p = block.parameters;
    // 1. Joint attention. Rows: shift, scale, gate of the video, then of the text.
    const first = modulation(p, "norm1", pass.activatedTemb);
    const normed = {
      hidden: this.#modulated(p, "norm1", streams.hidden, first, 0),
      encoders: streams.encoders.map((encoder) => this.#modulated(p, "norm1", encoder, first, 3)),
    };
    const gates = { hidden: first.rows(2, 3), encoder: first.rows(5, 6) };
    const attended = this.attend(block, normed, streams, gates, pass.place);
    // 2. Feed-forward, the same weights for both streams
    const second = modulation(p, "norm2", pass.activatedTemb);
    const stream = (x: Tensor, at: number) =>
      feedForward(this.device, this.#modulated(p, "norm2", x, second, at), p.scoped("ff."), {
        activation: "gelu_tanh",
        residual: x,
        gate: second.rows(at + 2, at + 3),
        outDtype: "f32",
      });
    return {
      hidden: stream(attended.hidden, 0),
      encoders: attended.encoders.map((encoder) => stream(encoder, 3)),
    };
  }

  #modulated(p: Parameters, name: string, x: Tensor, rows: Tensor, at: number): Tensor {
    return layerNormLayer(p, `${name}.norm`, x, {
      eps: this.config.norm_eps,
      shift: rows.rows(at, at + 1),
      scale: rows.rows(at + 1, at + 2),
      outDtype: this.computeDtype,
    });
  }

  protected output(hidden: Tensor, { activatedTemb, place }: JointPass): Tensor {
    const { device, parameters: p } = this;
    const eps = this.config.norm_eps;
    const normed = layerNormLayer(p, "norm_final", hidden, { eps });
    const table = modulation(p, "norm_out", activatedTemb, 2);
    const modulated = layerNormLayer(p, "norm_out.norm", normed, {
      eps,
      shift: table.rows(0, 1),
      scale: table.rows(1, 2),
    });
    const rows = linearLayer(p, "proj_out", modulated, { outDtype: "f32" });
    const { latentFrames: T, height: H, width: W } = place.geometry;
    const [pt, s] = this.patchSize;
    return eachPrediction(device, allRows(device, rows, place), (patches) => {
      const C = patches.dim(2) / (pt * s * s);
      const cells = permute(device, patches.reshape([T, H, W, C, pt, s, s]), [0, 4, 3, 1, 5, 2, 6]);
      return cells.reshape([1, T * pt, C, H * s, W * s]);
    });
  }

  #rotaryTables(geometry: VideoGeometry): RotaryTables {
    return this.rotaryTables(geometry, (change) =>
      rotaryGrid(...cogVideoXRotaryAxes(this.config, geometry, change)),
    );
  }

  /** Of the 2B model, and of image to video besides the rotary ones; none otherwise. Views: for a scope. */
  #addedPositions({ encoderHiddenStates }: CogVideoXText, geometry: VideoGeometry): Positions | undefined {
    const { config } = this;
    if (config.use_learned_positional_embeddings) {
      const text = encoderHiddenStates.dim(1);
      checkLearnedPositions(config, geometry, text);
      if (hasLearnedLength(config, geometry)) {
        const table = this.parameters.get("patch_embed.pos_embedding");
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
    const table = this.device.upload(values, [1, tokens, values.length / tokens], "f32", {
      pinned: true,
      label: "positions",
    });
    this.#positions = { key, table };
    return table;
  }
}
