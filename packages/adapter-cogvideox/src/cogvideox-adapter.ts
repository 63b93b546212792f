/**
 * LVSA for CogVideoX: joint attention of video and text with shared projections. Video queries see the attended frames
 * and all text; text queries see everything. The model has no mask, so that padded text is attended as it is in dense
 * attention: at the training length the result is that of dense attention.
 *
 * A row of the pattern is a token frame: one latent frame, or `patch_size_t` of them (CogVideoX 1.5).
 */
import {
  type AttentionCall,
  type AttentionModule,
  type AttentionResult,
  type AttentionTarget,
  claimLayers,
  type GeometryRules,
  type HostGeometry,
  type Installation,
  type LvsaAttentionProcessor,
  ModelAdapter,
  type ModelDefaults,
  type Projected,
  type Qkv,
  type RankShard,
  shardRotary,
  shareTokens,
  type Tensor,
} from "@lvsa/core";
import { type CogVideoXAdapterOptions, parseCogVideoXOptions } from "./cogvideox-options.js";

export class CogVideoXAdapter extends ModelAdapter<AttentionTarget, AttentionCall, AttentionResult> {
  readonly family = "cogvideox";
  readonly rules: GeometryRules = {
    spatialFactor: 8,
    temporalFactor: 4,
    patchSize: 2,
    patchEntry: "last",
    temporalPatch: true,
    trainedFramesField: "sample_frames",
    // 49 video frames.
    referenceLatentFrames: 13,
  };
  readonly defaults: ModelDefaults;
  readonly #options: CogVideoXAdapterOptions;

  /** @throws ConfigError for bad options */
  constructor(options: CogVideoXAdapterOptions = {}) {
    super();
    const { windowSize, nFirstFrames } = parseCogVideoXOptions(options);
    this.defaults = { windowSize, nFirstFrames };
    this.#options = options;
  }

  /** The option, else what the checkpoint says, else 13. */
  override referenceLatentFrames(host: HostGeometry): number {
    return this.#options.referenceLatentFrames ?? super.referenceLatentFrames(host);
  }

  extractQkv(call: AttentionCall): Qkv {
    return call.projected ?? layer(call).projectVideo(call);
  }

  override extractEncoderQkv(call: AttentionCall): Qkv | undefined {
    return call.projected ? call.projected.encoder : layer(call).projectEncoder(call);
  }

  /** Text has no positions. */
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
    const layers = model.attentionModules().filter((module) => module.role === "joint");
    return claimLayers(model.attention, layers, processor);
  }

  setupContextParallel(clip: { latentFrames: number; patchesPerFrame: number }, worldSize: number): number {
    return shareTokens(clip, worldSize);
  }

  patchRotaryForCp(call: AttentionCall, shard: RankShard): AttentionCall {
    return shardRotary(call, shard);
  }
}

interface JointLayer extends AttentionModule {
  projectVideo(call: AttentionCall): Projected;
  projectEncoder(call: AttentionCall): Projected | undefined;
}

/** Every joint layer of the family projects its streams one by one. */
function layer({ module }: AttentionCall): JointLayer {
  return module as JointLayer;
}

/** @throws ConfigError for bad options */
export function createCogVideoXAdapter(options: CogVideoXAdapterOptions = {}): CogVideoXAdapter {
  return new CogVideoXAdapter(options);
}
