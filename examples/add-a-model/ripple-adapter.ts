/** Step 3: what LVSA has to know of the family. The layer's own pieces do the work; no attention mathematics here. */
import {
  type AttentionCall,
  type AttentionResult,
  type AttentionTarget,
  claimLayers,
  type GeometryRules,
  type Installation,
  type LvsaAttentionProcessor,
  ModelAdapter,
  type ModelDefaults,
  type Qkv,
  type RankShard,
  shardRotary,
  shareTokens,
} from "@lvsa/core";
import type { Tensor } from "@lvsa/runtime";

export class RippleAdapter extends ModelAdapter<AttentionTarget, AttentionCall, AttentionResult> {
  readonly family = "ripple";

  // Geometry: 8 pixels and 4 video frames per latent cell where the host does not say; 33 video frames are 9 latent.
  readonly rules: GeometryRules = {
    spatialFactor: 8,
    temporalFactor: 4,
    patchSize: 2,
    trainedFramesField: "sample_frames",
    referenceLatentFrames: 9,
  };
  // In video frames, as users write them.
  readonly defaults: ModelDefaults = { windowSize: 12, nFirstFrames: 4 };

  // Projections
  extractQkv(call: AttentionCall): Qkv {
    // A hook may have projected already.
    return call.projected ?? call.module.project(call);
  }

  override softmaxScale(call: AttentionCall): { readonly scale: number } {
    return { scale: call.module.scale };
  }

  // Position and output
  applyRotary(call: AttentionCall, qkv: Qkv, shard?: RankShard): void {
    call.module.rotate(qkv, (shard ? this.patchRotaryForCp(call, shard) : call).rotary);
  }

  outputProjection(call: AttentionCall, hidden: Tensor): AttentionResult {
    return call.module.output(call, { hidden });
  }

  // Integration
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

export function createRippleAdapter(): RippleAdapter {
  return new RippleAdapter();
}
