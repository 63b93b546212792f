/**
 * HunyuanVideo15Transformer3DModel: the dual-stream video diffusion transformer of HunyuanVideo 1.5.
 * Source: diffusers `models/transformers/transformer_hunyuan_video15.py`.
 */
import type { PatchSize, RotaryTables, VideoGeometry } from "@lvsa/core";
import { activate, add, type Device, disposeTensors, layerNorm, type Tensor } from "@lvsa/runtime";
import { rotaryFrequencies, timestepEmbedding, timesteps } from "../embeddings.js";
import { feedForward } from "../feed-forward.js";
import { linearLayer, patchLayer } from "../layers.js";
import type { Parameters } from "../parameters.js";
import { fromPatches, toPatches } from "../patches.js";
import { latentGrid, videoGeometry } from "../video-geometry.js";
import type { ForwardInputs, TransformerOptions } from "./diffusion-transformer.js";
import { HunyuanVideo15Attention } from "./hunyuan-video15-attention.js";
import { encoderStream } from "./hunyuan-video15-conditions.js";
import {
  type JointBlock,
  type JointPass,
  JointTransformer,
  modulation,
  type Streams,
} from "./joint-transformer.js";
import { conditionsOf, eachPrediction, repeated, type WithSecond } from "./predictions.js";
import { allRows, videoPlace } from "./run-blocks.js";
import {
  type HunyuanVideo15TransformerConfig,
  hunyuanVideo15Transformer,
} from "./transformer-hunyuan-video15-definition.js";

const EPS = 1e-6;
/** Width of the sinusoidal timestep features; fixed in diffusers. */
const TIME_FEATURES = 256;

/** What tells two predictions of the same latents apart. */
export interface HunyuanVideo15Texts {
  /** Text embeddings `[1, L, text_embed_dim]`, valid tokens only. */
  readonly encoderHiddenStates: Tensor;
  /** Glyph embeddings `[1, L2, text_embed_2_dim]`, valid tokens only; none when the prompt quotes no text. */
  readonly encoderHiddenStates2?: Tensor | undefined;
}

export interface HunyuanVideo15ForwardInputs extends ForwardInputs, WithSecond<HunyuanVideo15Texts> {
  /** `[1, in_channels, T, h, w]` f32: noisy latents, condition latents, mask. */
  readonly latents: Tensor;
  /** 0 to 1000. */
  readonly timestep: number;
  /** Where the step ends, for models that were trained on average velocities (`use_meanflow`). */
  readonly timestepR?: number | undefined;
  /** Image embeddings `[1, N, image_embed_dim]`; none for text to video. */
  readonly imageEmbeds?: Tensor | undefined;
}

export class HunyuanVideo15Transformer3DModel extends JointTransformer<HunyuanVideo15TransformerConfig> {
  constructor(device: Device, config: unknown, options?: TransformerOptions) {
    const layer = { name: "attn", class: HunyuanVideo15Attention };
    super(device, hunyuanVideo15Transformer, config, options, layer);
  }

  override get temporalDim(): number {
    return this.config.rope_axes_dim[0]!;
  }

  get patchSize(): PatchSize {
    const { patch_size_t: t, patch_size: s } = this.config;
    return [t, s, s];
  }

  /** Token grid of latents `[1, C, T, h, w]`. @throws ShapeError when they do not fit channels or patch size */
  geometry(latents: Tensor, conditionFrames: readonly number[] = []): VideoGeometry {
    const grid = latentGrid("HunyuanVideo 1.5", latents, this.config.in_channels, {
      fix: "The input is noisy latents, condition latents and one mask channel, in this order.",
    });
    return videoGeometry("HunyuanVideo 1.5", grid, this.patchSize, { conditionFrames });
  }

  /**
   * Runs one forward pass. Returns the predicted flow `[1, out_channels, T, h, w]`, with `second` texts `[2, …]`, f32, owned
   * by the caller.
   */
  async forward(inputs: HunyuanVideo15ForwardInputs): Promise<Tensor> {
    const { device } = this;
    const { tap } = inputs;
    const geometry = this.geometry(inputs.latents, inputs.conditionFrames);
    const tables = this.#rotaryTables(geometry);
    tap?.("rope_cos", tables.cos);
    tap?.("rope_sin", tables.sin);
    const start = device.scope(() => {
      const { temb, streams } = this.#embed(inputs, geometry);
      tap?.("temb", temb);
      tap?.("x_embed", streams.hidden);
      return { streams, activatedTemb: activate(device, temb, "silu") };
    });
    return this.run(start, inputs, videoPlace(inputs, geometry, tables));
  }

  #embed(inputs: HunyuanVideo15ForwardInputs, geometry: VideoGeometry): { temb: Tensor; streams: Streams } {
    const { device, parameters: p, config } = this;
    const patches = toPatches(device, inputs.latents, geometry, this.patchSize);
    const texts = conditionsOf<HunyuanVideo15Texts>(inputs);
    const hidden = repeated(device, patchLayer(p, "x_embedder.proj", patches), texts.length);
    const timeFeatures = timesteps(device, [inputs.timestep], TIME_FEATURES);
    let temb = timestepEmbedding(timeFeatures, p.scoped("time_embed.timestep_embedder."));
    if (config.use_meanflow && inputs.timestepR !== undefined) {
      const features = timesteps(device, [inputs.timestepR], TIME_FEATURES);
      temb = add(device, temb, timestepEmbedding(features, p.scoped("time_embed.timestep_embedder_r.")));
    }
    const options = {
      heads: config.num_attention_heads,
      refinerLayers: config.num_refiner_layers,
      timeFeatures,
      tap: inputs.tap,
    };
    const encoders = texts.map(({ encoderHiddenStates: text, encoderHiddenStates2: glyph }) =>
      encoderStream(device, p, { text, glyph, image: inputs.imageEmbeds }, options),
    );
    return { temb, streams: { hidden, encoders } };
  }

  /** Takes the streams over and frees them. */
  protected block(block: JointBlock, streams: Streams, pass: JointPass): Streams {
    const p = block.parameters;
    // Rows: shift, scale and gate of attention, then of the feed-forward.
    const rows = modulation(p, "norm1", pass.activatedTemb);
    const encoderRows = modulation(p, "norm1_context", pass.activatedTemb);
    const normed = {
      hidden: this.#modulated(streams.hidden, rows, 0),
      encoders: streams.encoders.map((encoder) => this.#modulated(encoder, encoderRows, 0)),
    };
    // 1. Joint attention
    const gates = { hidden: rows.rows(2, 3), encoder: encoderRows.rows(2, 3) };
    const attended = this.attend(block, normed, streams, gates, pass.place);
    // Of a long clip every tensor of the video stream is large: none is kept longer than it is needed.
    disposeTensors(normed);
    disposeTensors(streams);
    // 2. Feed-forward
    return {
      hidden: this.#feedForward(p.scoped("ff."), attended.hidden, rows),
      encoders: attended.encoders.map((encoder) =>
        this.#feedForward(p.scoped("ff_context."), encoder, encoderRows),
      ),
    };
  }

  #modulated(x: Tensor, rows: Tensor, first: number): Tensor {
    return layerNorm(this.device, x, {
      eps: EPS,
      shift: rows.rows(first, first + 1),
      scale: rows.rows(first + 1, first + 2),
      outDtype: this.computeDtype,
    });
  }

  #feedForward(p: Parameters, x: Tensor, rows: Tensor): Tensor {
    return feedForward(this.device, this.#modulated(x, rows, 3), p, {
      activation: "gelu_tanh",
      residual: x,
      gate: rows.rows(5, 6),
      outDtype: "f32",
    });
  }

  protected output(hidden: Tensor, { activatedTemb, place }: JointPass): Tensor {
    const { device, parameters: p } = this;
    const table = modulation(p, "norm_out", activatedTemb, 2);
    // Scale comes first here, unlike in the blocks.
    const normed = layerNorm(device, hidden, { eps: EPS, scale: table.rows(0, 1), shift: table.rows(1, 2) });
    const rows = linearLayer(p, "proj_out", normed, { outDtype: "f32" });
    return eachPrediction(device, allRows(device, rows, place), (patches) =>
      fromPatches(device, patches, place.geometry, this.patchSize),
    );
  }

  /** Source: diffusers `HunyuanVideo15RotaryPosEmbed`. */
  #rotaryTables(geometry: VideoGeometry): RotaryTables {
    return this.gridTables(geometry, () => {
      const [time, height, width] = this.config.rope_axes_dim.map((dim) =>
        rotaryFrequencies(dim, this.config.rope_theta),
      ) as [Float64Array, Float64Array, Float64Array];
      return { time, height, width };
    });
  }
}
