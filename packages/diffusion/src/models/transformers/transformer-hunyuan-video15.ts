/**
 * HunyuanVideo15Transformer3DModel: the dual-stream video diffusion transformer of HunyuanVideo 1.5.
 * Source: diffusers `models/transformers/transformer_hunyuan_video15.py`. Batch 1: guidance runs as two passes.
 *
 * Both residual streams are f32; with `computeDtype` f16 everything between two additions to them is stored as f16.
 */

import type { PatchSize, TemporalFrequencies } from "@lvsa/core";
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
import { fromPatches, toPatches } from "../patches.js";
import { RotaryCache } from "../rotary-cache.js";
import { videoGeometry } from "../video-geometry.js";
import { BlockWeights } from "./block-weights.js";
import type { Tap } from "./forward-hooks.js";
import { HunyuanVideo15Attention } from "./hunyuan-video15-attention.js";
import { encoderStream } from "./hunyuan-video15-conditions.js";
import {
  allRows,
  type PassControl,
  placeOfCall,
  runJointBlocks,
  type Streams,
  type VideoPlace,
  videoPlace,
} from "./run-blocks.js";
import {
  type HunyuanVideo15TransformerConfig,
  hunyuanVideo15Transformer,
} from "./transformer-hunyuan-video15-definition.js";

const EPS = 1e-6;
/** Width of the sinusoidal timestep features; fixed in diffusers. */
const TIME_FEATURES = 256;

export interface HunyuanVideo15ForwardInputs extends PassControl {
  /** `[1, in_channels, T, h, w]` f32: noisy latents, condition latents, mask. */
  readonly latents: Tensor;
  /** 0 to 1000. */
  readonly timestep: number;
  /** Where the step ends, for models that were trained on average velocities (`use_meanflow`). */
  readonly timestepR?: number | undefined;
  /** Text embeddings `[1, L, text_embed_dim]`, valid tokens only. */
  readonly encoderHiddenStates: Tensor;
  /** Glyph embeddings `[1, L2, text_embed_2_dim]`, valid tokens only; none when the prompt quotes no text. */
  readonly encoderHiddenStates2?: Tensor | undefined;
  /** Image embeddings `[1, N, image_embed_dim]`; none for text to video. */
  readonly imageEmbeds?: Tensor | undefined;
  /** Latent frames whose content is given (image to video), for sparse attention. Default: none. */
  readonly conditionFrames?: readonly number[] | undefined;
  readonly step?: StepInfo | undefined;
  readonly tap?: Tap | undefined;
}

interface Block {
  readonly attention: HunyuanVideo15Attention;
  readonly parameters: Parameters;
}

/** What all blocks of a forward pass share. */
interface BlockInputs {
  /** SiLU of the time embedding, `[1, C]`. */
  readonly activatedTemb: Tensor;
  readonly place: VideoPlace;
  readonly step: StepInfo | undefined;
}

export class HunyuanVideo15Transformer3DModel {
  readonly family = "hunyuan";
  readonly config: HunyuanVideo15TransformerConfig;
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
    config: HunyuanVideo15TransformerConfig,
    parameters: Parameters,
    attention = new AttentionDispatcher(),
    name = "transformer",
  ) {
    this.config = config;
    this.attention = attention;
    this.#device = device;
    this.#parameters = parameters;
    this.#weights = new BlockWeights(parameters, hunyuanVideo15Transformer, config.num_layers);
    this.#rotary = new RotaryCache(device);
    this.#blocks = Array.from({ length: config.num_layers }, (_, i) => {
      const path = `transformer_blocks.${i}.`;
      const scope = parameters.scoped(path);
      return {
        attention: new HunyuanVideo15Attention(`${name}.${path}attn`, i, config, scope.scoped("attn.")),
        parameters: scope,
      };
    });
  }

  /** A model without weights yet; `config` is the parsed `config.json`. See `load`. */
  static create(
    device: Device,
    config: unknown,
    options: { readonly attention?: AttentionDispatcher; readonly name?: string } = {},
  ): HunyuanVideo15Transformer3DModel {
    const where = `${options.name ?? "transformer"}/config.json`;
    const parsed = hunyuanVideo15Transformer.configToRun(config, where);
    return new HunyuanVideo15Transformer3DModel(
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
    const weights = ModelWeights.check(hunyuanVideo15Transformer, this.config, source, options);
    await this.#weights.load(weights, options);
  }

  /** Channels of a head that encode time; what `temporalFrequencies` changes. */
  get temporalDim(): number {
    return this.config.rope_axes_dim[0]!;
  }

  get isLoaded(): boolean {
    return this.#weights.isLoaded;
  }

  /** Frees the weights; `load` brings them back. */
  unload(): void {
    this.#rotary[Symbol.dispose]();
    this.#weights.unload();
  }

  /** All attention layers (without the small ones of the token refiner, which see text alone). */
  attentionModules(): AttentionModule[] {
    return this.#blocks.map((block) => block.attention);
  }

  get patchSize(): PatchSize {
    const { patch_size_t: t, patch_size: s } = this.config;
    return [t, s, s];
  }

  /** Token grid of latents `[1, C, T, h, w]`. @throws ShapeError when they do not fit channels or patch size */
  geometry(latents: Tensor, conditionFrames: readonly number[] = []): VideoGeometry {
    const { shape } = latents;
    const channels = this.config.in_channels;
    if (shape.length !== 5 || shape[0] !== 1 || shape[1] !== channels) {
      throw new ShapeError(
        "SHAPE_MISMATCH",
        `HunyuanVideo 1.5: latents must be [1, ${channels}, T, h, w], got [${shape.join(", ")}]`,
        { fix: "The input is noisy latents, condition latents and one mask channel, in this order." },
      );
    }
    const [, , frames, height, width] = shape as [number, number, number, number, number];
    return videoGeometry("HunyuanVideo 1.5", { frames, height, width }, this.patchSize, {
      conditionFrames,
    });
  }

  /** Runs one forward pass. Returns the predicted flow `[1, out_channels, T, h, w]`, f32, owned by the caller. */
  async forward(inputs: HunyuanVideo15ForwardInputs): Promise<Tensor> {
    const device = this.#device;
    const { tap } = inputs;
    const geometry = this.geometry(inputs.latents, inputs.conditionFrames);
    const tables = this.#rotaryTables(geometry);
    tap?.("rope_cos", tables.cos);
    tap?.("rope_sin", tables.sin);
    // 1. Patches and conditions
    const start = device.scope(() => {
      const { temb, streams } = this.#embed(inputs, geometry);
      tap?.("temb", temb);
      tap?.("x_embed", streams.hidden);
      return { streams, activatedTemb: activate(device, temb, "silu") };
    });
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

  dispose(): void {
    this.#rotary[Symbol.dispose]();
    this.#weights.unload();
  }

  #embed(inputs: HunyuanVideo15ForwardInputs, geometry: VideoGeometry): { temb: Tensor; streams: Streams } {
    const device = this.#device;
    const p = this.#parameters;
    const patches = toPatches(device, inputs.latents, geometry, this.patchSize);
    const weight = p.get("x_embedder.proj.weight");
    const hidden = linear(device, patches, weight.reshape([weight.dim(0), weight.size / weight.dim(0)]), {
      bias: p.get("x_embedder.proj.bias"),
      outDtype: "f32",
    });
    const features = (timestep: number) =>
      device.upload(timestepFeatures([timestep], TIME_FEATURES), [1, TIME_FEATURES]);
    const timeFeatures = features(inputs.timestep);
    const start = timestepEmbedding(device, timeFeatures, p.scoped("time_embed.timestep_embedder."));
    const end =
      this.config.use_meanflow && inputs.timestepR !== undefined
        ? timestepEmbedding(device, features(inputs.timestepR), p.scoped("time_embed.timestep_embedder_r."))
        : undefined;
    const temb = end ? add(device, start, end) : start;
    const encoder = encoderStream(
      device,
      p,
      { text: inputs.encoderHiddenStates, glyph: inputs.encoderHiddenStates2, image: inputs.imageEmbeds },
      {
        heads: this.config.num_attention_heads,
        refinerLayers: this.config.num_refiner_layers,
        timeFeatures,
        tap: inputs.tap,
      },
    );
    return { temb, streams: { hidden, encoder } };
  }

  /** Takes the streams over and frees them. */
  #block(block: Block, { hidden, encoder }: Streams, shared: BlockInputs): Streams {
    const device = this.#device;
    const p = block.parameters;
    const modulation = this.#modulation(p, "norm1", shared.activatedTemb);
    const encoderModulation = this.#modulation(p, "norm1_context", shared.activatedTemb);
    const x = this.#modulated(hidden, modulation, 0);
    const y = this.#modulated(encoder, encoderModulation, 0);
    // 1. Joint attention
    const result = this.attention.run({
      device,
      family: this.family,
      module: block.attention,
      hiddenStates: x,
      encoderHiddenStates: y,
      ...placeOfCall(shared.place),
      ...(shared.step ? { step: shared.step } : {}),
      epilogue: { residual: hidden, gate: modulation.rows(2, 3) },
      encoderEpilogue: { residual: encoder, gate: encoderModulation.rows(2, 3) },
    });
    // Of a long clip every tensor of the video stream is large: none is kept longer than it is needed.
    for (const done of [x, y, hidden, encoder]) done.dispose();
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
    // 2. Feed-forward
    return {
      hidden: this.#feedForward(p.scoped("ff."), result.hiddenStates, modulation),
      encoder: this.#feedForward(p.scoped("ff_context."), attended, encoderModulation),
    };
  }

  /** Rows: shift, scale and gate of attention, then of the feed-forward. `[6, C]` */
  #modulation(p: Parameters, name: string, activatedTemb: Tensor): Tensor {
    const rows = linear(this.#device, activatedTemb, p.get(`${name}.linear.weight`), {
      bias: p.get(`${name}.linear.bias`),
    });
    return rows.reshape([6, rows.dim(1) / 6]);
  }

  #modulated(x: Tensor, modulation: Tensor, first: number): Tensor {
    return layerNorm(this.#device, x, {
      eps: EPS,
      shift: modulation.rows(first, first + 1),
      scale: modulation.rows(first + 1, first + 2),
      outDtype: this.computeDtype,
    });
  }

  #feedForward(p: Parameters, x: Tensor, modulation: Tensor): Tensor {
    return feedForward(this.#device, this.#modulated(x, modulation, 3), p, {
      activation: "gelu_tanh",
      residual: x,
      gate: modulation.rows(5, 6),
      outDtype: "f32",
    });
  }

  #output(hidden: Tensor, activatedTemb: Tensor, geometry: VideoGeometry, place: VideoPlace): Tensor {
    const device = this.#device;
    const p = this.#parameters;
    const table = linear(device, activatedTemb, p.get("norm_out.linear.weight"), {
      bias: p.get("norm_out.linear.bias"),
    }).reshape([2, hidden.dim(2)]);
    // Scale comes first here, unlike in the blocks.
    const normed = layerNorm(device, hidden, { eps: EPS, scale: table.rows(0, 1), shift: table.rows(1, 2) });
    const rows = linear(device, normed, p.get("proj_out.weight"), {
      bias: p.get("proj_out.bias"),
      outDtype: "f32",
    });
    return fromPatches(device, allRows(device, rows, place), geometry, this.patchSize);
  }

  /** Source: diffusers `HunyuanVideo15RotaryPosEmbed`. */
  #rotaryTables({ latentFrames, height, width }: VideoGeometry): RotaryTables {
    const change = this.temporalFrequencies;
    return this.#rotary.tables(`${latentFrames}x${height}x${width}`, change, () => {
      const [time, rows, columns] = this.config.rope_axes_dim.map((dim) =>
        rotaryFrequencies(dim, this.config.rope_theta),
      ) as [Float64Array, Float64Array, Float64Array];
      return rotaryGrid(
        { positions: integerPositions(latentFrames), frequencies: change?.(time) ?? time },
        { positions: integerPositions(height), frequencies: rows },
        { positions: integerPositions(width), frequencies: columns },
      );
    });
  }
}
