/**
 * LVSA for Wan 2.1 and 2.2: self attention over video tokens alone, text in cross attention, which stays dense.
 * The layer's own `project`, `rotate` and `output` do the work.
 */
import {
  type AttentionCall,
  type AttentionResult,
  type AttentionTarget,
  claimLayers,
  type GeometryRules,
  type HostGeometry,
  type Installation,
  type LvsaAttentionProcessor,
  ModelAdapter,
  type ModelDefaults,
  type Qkv,
  type RankShard,
  shardRotary,
  shareTokens,
  type Tensor,
} from "@lvsa/core";
import { parseWanOptions, type WanAdapterOptions } from "./wan-options.js";

/** Latent channels of Wan 2.2 TI2V-5B, the one Wan model with another autoencoder. */
const TI2V_CHANNELS = 48;

export class WanAdapter extends ModelAdapter<AttentionTarget, AttentionCall, AttentionResult> {
  readonly family = "wan";
  readonly rules: GeometryRules = {
    patchSize: 2,
    trainedFramesField: "sample_frames",
    // 81 video frames.
    referenceLatentFrames: 21,
  };
  readonly defaults: ModelDefaults;
  readonly #options: WanAdapterOptions;

  /** @throws ConfigError for bad options */
  constructor(options: WanAdapterOptions = {}) {
    super();
    const { windowSize, nFirstFrames } = parseWanOptions(options);
    this.defaults = { windowSize, nFirstFrames };
    this.#options = options;
  }

  /** The option, else what the checkpoint says, else 21; 31 for Wan 2.2 TI2V-5B (121 video frames). */
  override referenceLatentFrames(host: HostGeometry): number {
    if (this.#options.referenceLatentFrames !== undefined) return this.#options.referenceLatentFrames;
    const isTi2v = host.transformerConfig.in_channels === TI2V_CHANNELS;
    if (isTi2v && host.transformerConfig.sample_frames === undefined) return 31;
    return super.referenceLatentFrames(host);
  }

  extractQkv(call: AttentionCall): Qkv {
    return call.projected ?? call.module.project(call);
  }

  applyRotary(call: AttentionCall, qkv: Qkv, shard?: RankShard): void {
    call.module.rotate(qkv, (shard ? this.patchRotaryForCp(call, shard) : call).rotary);
  }

  override softmaxScale(call: AttentionCall): { readonly scale: number } {
    return { scale: call.module.scale };
  }

  outputProjection(call: AttentionCall, hidden: Tensor): AttentionResult {
    return call.module.output(call, { hidden });
  }

  installProcessor(
    model: AttentionTarget,
    processor: LvsaAttentionProcessor<AttentionCall, AttentionResult>,
  ): Installation {
    const layers = model.attentionModules().filter((layer) => layer.role === "self");
    return claimLayers(model.attention, layers, processor);
  }

  setupContextParallel(clip: { latentFrames: number; patchesPerFrame: number }, worldSize: number): number {
    return shareTokens(clip, worldSize);
  }

  patchRotaryForCp(call: AttentionCall, shard: RankShard): AttentionCall {
    return shardRotary(call, shard);
  }
}

/** @throws ConfigError for bad options */
export function createWanAdapter(options: WanAdapterOptions = {}): WanAdapter {
  return new WanAdapter(options);
}
