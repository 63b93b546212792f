/**
 * LVSA for HunyuanVideo 1.5: joint attention of a video and an encoder stream. Video queries see the attended
 * frames and all valid encoder tokens; encoder queries see everything. The host's encoder stream holds valid tokens
 * only, so the attention mask is kept: at the training length the result is that of dense attention.
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
  type ProjectedStreams,
  type Qkv,
  type RankShard,
  shardRotary,
  shareTokens,
  type Tensor,
} from "@lvsa/core";
import { type HunyuanAdapterOptions, parseHunyuanOptions } from "./hunyuan-options.js";

export class HunyuanAdapter extends ModelAdapter<AttentionTarget, AttentionCall, AttentionResult> {
  readonly family = "hunyuan";
  readonly rules: GeometryRules = {
    spatialFactor: 16,
    temporalFactor: 4,
    patchSize: 2,
    trainedFramesField: "sample_n_frames",
    // 129 video frames.
    referenceLatentFrames: 33,
  };
  readonly defaults: ModelDefaults;
  readonly #options: HunyuanAdapterOptions;
  /** Both streams of a call are projected together; the second is asked for right after the first. */
  readonly #projected = new WeakMap<AttentionCall, ProjectedStreams>();

  /** @throws ConfigError for bad options */
  constructor(options: HunyuanAdapterOptions = {}) {
    super();
    const { windowSize, nFirstFrames } = parseHunyuanOptions(options);
    this.defaults = { windowSize, nFirstFrames };
    this.#options = options;
  }

  /** The option, else what the checkpoint says, else 33. */
  override referenceLatentFrames(host: HostGeometry): number {
    return this.#options.referenceLatentFrames ?? super.referenceLatentFrames(host);
  }

  extractQkv(call: AttentionCall): Qkv {
    const { query, key, value } = this.#streams(call);
    return { query, key, value };
  }

  override extractEncoderQkv(call: AttentionCall): Qkv | undefined {
    const { encoder } = this.#streams(call);
    this.#projected.delete(call);
    return encoder;
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

  override formatOutput(call: AttentionCall, hidden: Tensor, encoder: Tensor | undefined): AttentionResult {
    return call.module.output(call, encoder ? { hidden, encoder } : { hidden });
  }

  installProcessor(
    model: AttentionTarget,
    processor: LvsaAttentionProcessor<AttentionCall, AttentionResult>,
  ): Installation {
    const layers = model.attentionModules().filter((layer) => layer.role === "joint");
    return claimLayers(model.attention, layers, processor);
  }

  setupContextParallel(clip: { latentFrames: number; patchesPerFrame: number }, worldSize: number): number {
    return shareTokens(clip, worldSize);
  }

  patchRotaryForCp(call: AttentionCall, shard: RankShard): AttentionCall {
    return shardRotary(call, shard);
  }

  #streams(call: AttentionCall): ProjectedStreams {
    let streams = call.projected ?? this.#projected.get(call);
    if (!streams) {
      streams = call.module.project(call);
      this.#projected.set(call, streams);
    }
    return streams;
  }
}

/** @throws ConfigError for bad options */
export function createHunyuanAdapter(options: HunyuanAdapterOptions = {}): HunyuanAdapter {
  return new HunyuanAdapter(options);
}
