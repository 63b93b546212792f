/**
 * What a model family tells LVSA about itself: how its attention layers make Q, K and V, how positions rotate
 * them, how results are projected, and how many tokens a frame has. Adapters do no attention mathematics; core
 * never sees a model. The families of methods follow the Python original's `ModelAdapter`.
 *
 * A host whose layers are `AttentionModule`s has the pieces already. The defaults here put them together, so that
 * an adapter states its facts (`family`, `rules`, `role`) and overrides where its layers differ.
 */
import type { Tensor } from "@lvsa/runtime";
import * as z from "zod/mini";
import { type LvsaConfigInput, lvsaConfigSchema, parseSettings } from "../config.js";
import type { AttentionCall, AttentionResult, AttentionRole } from "../contract/attention-processor.js";
import type { AttentionTarget } from "../contract/host.js";
import {
  computeLatentFrames,
  computePatchesPerFrame,
  computeReferenceLatentFrames,
  type GeometryRules,
  type HostGeometry,
} from "../pattern/geometry.js";
import {
  claimLayers,
  type Installation,
  type LayerProcessor,
  type RankShard,
  shardRotary,
  shareTokens,
} from "./integration.js";
import type { EncoderQkv, LayerSteps, Qkv } from "./layer-steps.js";

/** LVSA settings that belong to the model, in video frames. Users' settings go on top. */
export type ModelDefaults = Pick<LvsaConfigInput, "windowSize" | "nFirstFrames">;

/** What the author of an application may set once for all models of a family. */
export interface AdapterOptions {
  /** Half window in video frames. Default 12. */
  readonly windowSize?: number;
  /** Leading video frames that every query attends to. Default 4. */
  readonly nFirstFrames?: number;
  /** Latent frames (rows of the pattern) that the model was trained on. Default: the checkpoint's, else the family's. */
  readonly referenceLatentFrames?: number;
}

const optionsSchema = z.pick(lvsaConfigSchema, {
  windowSize: true,
  nFirstFrames: true,
  referenceLatentFrames: true,
});

export abstract class ModelAdapter implements LayerSteps<AttentionCall, AttentionResult> {
  /** Lower-case family name as the host's models have it, e.g. `wan`. */
  abstract readonly family: string;
  /** How the checkpoint's configuration gives frames and tokens. */
  abstract readonly rules: GeometryRules;
  /** Role of the layers that LVSA takes: `self`, or `joint` where text is attended in the same call. */
  readonly role: AttentionRole = "self";
  readonly defaults: ModelDefaults;
  /** The option of that name. */
  protected readonly referenceOption: number | undefined;

  /** @throws ConfigError `INVALID_LVSA_CONFIG` that names every bad option */
  constructor(options: AdapterOptions = {}) {
    const { referenceLatentFrames, ...defaults } = parseSettings(optionsSchema, options, "adapter options");
    this.defaults = defaults;
    this.referenceOption = referenceLatentFrames;
  }

  // Geometry

  /** Tokens of one latent frame of a clip of `height` x `width` pixels. */
  patchesPerFrame(height: number, width: number, host: HostGeometry): number {
    return computePatchesPerFrame(height, width, host, this.rules);
  }

  /** Latent frames (rows of the pattern) of `numFrames` video frames. */
  latentFrames(numFrames: number, host: HostGeometry): number {
    return computeLatentFrames(numFrames, host, this.rules);
  }

  /** Latent frames the model was trained on: the option, else from its config where that says it, else the family's. */
  referenceLatentFrames(host: HostGeometry): number {
    return this.referenceOption ?? computeReferenceLatentFrames(host, this.rules);
  }

  // Projections

  /**
   * Q, K, V of the video stream: projected, normalised, split into heads, not rotated. What a hook has projected in
   * place of the layer (`call.projected`) counts.
   */
  extractQkv(call: AttentionCall): Qkv {
    return call.projected ?? call.module.project(call);
  }

  /**
   * Both in one where the layer can, and nobody has projected in its place. An adapter that overrides `extractQkv` or
   * `applyRotary` is asked for those.
   */
  extractRotatedQkv(call: AttentionCall): Qkv | undefined {
    const base = ModelAdapter.prototype;
    const isOwn = this.extractQkv !== base.extractQkv || this.applyRotary !== base.applyRotary;
    if (isOwn || call.projected || !call.rotary) return undefined;
    return call.module.projectRotated?.(call);
  }

  /** Text and image part of the encoder stream, for layers that attend to images besides. */
  splitEncoderForCrossAttn(
    _call: AttentionCall,
  ): { readonly text: Tensor; readonly image?: Tensor } | undefined {
    return undefined;
  }

  /** Keys and values of image tokens, or undefined where the layer has none. */
  extractCrossAttnKv(_call: AttentionCall): { readonly key: Tensor; readonly value: Tensor } | undefined {
    return undefined;
  }

  /** The layer's softmax scale; none means 1 / sqrt(D). */
  softmaxScale(call: AttentionCall): { readonly scale?: number } {
    return { scale: call.module.scale };
  }

  // Position and output

  /** Rotates Q and K of the video stream in place. A shard rotates with its own part of the tables. */
  applyRotary(call: AttentionCall, qkv: Qkv, shard?: RankShard): void {
    call.module.rotate(qkv, (shard ? this.patchRotaryForCp(call, shard) : call).rotary);
  }

  /** Projects attention output `[B, S, H, D]` of the video stream as the layer does. */
  outputProjection(call: AttentionCall, hidden: Tensor): AttentionResult {
    return call.module.output(call, { hidden });
  }

  // Dual stream

  /** Q, K, V of the text stream that is attended jointly (valid rows only), or undefined in single-stream models. */
  extractEncoderQkv(call: AttentionCall): EncoderQkv | undefined {
    return call.projected ? call.projected.encoder : call.module.projectEncoder?.(call);
  }

  /** Puts both streams' attention outputs into the layer's result. */
  formatOutput(call: AttentionCall, hidden: Tensor, encoder: Tensor | undefined): AttentionResult {
    return encoder ? call.module.output(call, { hidden, encoder }) : this.outputProjection(call, hidden);
  }

  /** Attention output to add to the video stream's, `[B, S, H, D]`, or undefined. */
  crossAttention(_call: AttentionCall, _query: Tensor): Tensor | undefined {
    return undefined;
  }

  // Integration

  /**
   * Puts the processor in charge of every layer of `model` that has the adapter's role.
   *
   * @throws HookError `NO_LAYERS` when there is none, `LAYER_CLAIMED` when one is taken; then none is claimed
   */
  installProcessor(model: AttentionTarget, processor: LayerProcessor): Installation {
    const layers = model.attentionModules().filter(({ role }) => role === this.role);
    return claimLayers(model, layers, processor);
  }

  /**
   * Checks that a clip can be split over `worldSize` ranks and gives each rank's share of tokens.
   *
   * @throws ConfigError with the nearest frame counts that work
   */
  setupContextParallel(clip: { latentFrames: number; patchesPerFrame: number }, worldSize: number): number {
    return shareTokens(clip, worldSize);
  }

  /** The call as one rank sees it: with its rows of the rotary tables. */
  patchRotaryForCp(call: AttentionCall, shard: RankShard): AttentionCall {
    return shardRotary(call, shard);
  }
}
