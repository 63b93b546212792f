/**
 * A transformer over two residual streams, video and text, that meet in joint attention, as HunyuanVideo and CogVideoX
 * have it: its blocks, and the middle of its forward pass.
 */
import type { AttentionModule } from "@lvsa/core";
import { type Device, ShapeError, type Tensor } from "@lvsa/runtime";
import type { VideoModelDefinition } from "../definition/define-model.js";
import type { ResolvedConfig } from "../definition/resolved-config.js";
import { linearLayer } from "../layers.js";
import type { Parameters } from "../parameters.js";
import {
  DiffusionTransformer,
  type ForwardInputs,
  type TransformerOptions,
} from "./diffusion-transformer.js";
import { attendEach } from "./predictions.js";
import { placeOfCall, runBlocks, type VideoPlace } from "./run-blocks.js";

/** The residual streams, f32. */
export type Streams = {
  /** Of all predictions, `[B, S, C]`. */
  readonly hidden: Tensor;
  /** Of each prediction, `[1, L, C]`: texts differ in length. */
  readonly encoders: readonly Tensor[];
};

/** Rows that scale what a layer adds to each stream, `[1, C]`. */
export interface Gates {
  readonly hidden: Tensor;
  readonly encoder: Tensor;
}

/** What goes into the blocks; all of it is theirs to free. */
export interface JointStart {
  readonly streams: Streams;
  /** SiLU of the time embedding, `[1, C]`. */
  readonly activatedTemb: Tensor;
}

/** What all blocks of a forward pass share. */
export interface JointPass {
  readonly activatedTemb: Tensor;
  readonly place: VideoPlace;
}

export interface JointBlock {
  readonly attention: AttentionModule;
  readonly parameters: Parameters;
}

type AttentionClass<Config> = new (
  name: string,
  index: number,
  config: Config,
  parameters: Parameters,
) => AttentionModule;

export abstract class JointTransformer<Config extends ResolvedConfig> extends DiffusionTransformer<Config> {
  readonly #blocks: readonly JointBlock[];

  /** @param layer the attention of a block, by its name there */
  constructor(
    device: Device,
    definition: VideoModelDefinition<Config>,
    config: unknown,
    options: TransformerOptions | undefined,
    layer: { readonly name: string; readonly class: AttentionClass<Config> },
  ) {
    super(device, definition, config, options);
    this.#blocks = this.eachBlock("transformer_blocks", (path, index, parameters) => {
      const own = parameters.scoped(`${layer.name}.`);
      const attention = new layer.class(`${this.name}.${path}${layer.name}`, index, this.config, own);
      return { attention, parameters };
    });
  }

  /** The attention layers of the blocks. */
  attentionModules(): AttentionModule[] {
    return this.#blocks.map((block) => block.attention);
  }

  /** A block on both streams. Runs in a scope; may hand tensors of its input on, or free them. */
  protected abstract block(block: JointBlock, streams: Streams, pass: JointPass): Streams;

  /** Output norm, projection, and back from patches. */
  protected abstract output(hidden: Tensor, pass: JointPass): Tensor;

  /** All blocks, each of whose streams `tap` hears of, and the output. Takes `start` over. */
  protected async run(
    { streams: first, activatedTemb }: JointStart,
    inputs: ForwardInputs,
    place: VideoPlace,
  ): Promise<Tensor> {
    const { shard } = place;
    const pass = { activatedTemb, place };
    const block = (previous: Streams, index: number) => {
      const streams = this.block(this.#blocks[index]!, previous, pass);
      inputs.tap?.(`block${index}.hidden`, streams.hidden);
      for (const encoder of streams.encoders) inputs.tap?.(`block${index}.encoder`, encoder);
      return streams;
    };
    const output = ({ hidden }: Streams) => this.output(hidden, pass);
    try {
      return await runBlocks(this.device, this.weights, first, inputs, block, output, { shard });
    } finally {
      activatedTemb.dispose();
    }
  }

  /** A block's attention over both streams, added to `residuals`. @throws ShapeError `MISSING_STREAM` */
  protected attend(
    { attention: module }: JointBlock,
    normed: Streams,
    residuals: Streams,
    gates: Gates,
    place: VideoPlace,
  ): Streams {
    const { device, family } = this;
    const attended = attendEach(
      device,
      normed.hidden,
      residuals.hidden,
      ({ hiddenStates, residual, out }, index) =>
        this.attention.run({
          ...{ device, family, module, hiddenStates, ...placeOfCall(place) },
          encoderHiddenStates: normed.encoders[index]!,
          epilogue: { residual, gate: gates.hidden, ...(out ? { out } : {}) },
          encoderEpilogue: { residual: residuals.encoders[index]!, gate: gates.encoder },
        }),
    );
    const encoders = attended.encoders.filter((encoder) => encoder !== undefined);
    if (encoders.length === normed.encoders.length) return { hidden: attended.hidden, encoders };
    throw new ShapeError("MISSING_STREAM", `${module.name}: the processor returned no encoder stream`, {
      fix: "A processor of joint attention returns hiddenStates and encoderHiddenStates.",
    });
  }
}

/** What a layer makes of the time embedding: `count` rows that shift, scale and gate. `[count, C]` */
export function modulation(parameters: Parameters, name: string, activatedTemb: Tensor, count = 6): Tensor {
  const rows = linearLayer(parameters, `${name}.linear`, activatedTemb);
  return rows.reshape([count, rows.dim(1) / count]);
}
