/** What adapters of every family do alike when they are put into a model. */
import { ConfigError, type Tensor } from "@lvsa/runtime";
import { nearestDivisibleFrames } from "../pattern/divisibility.js";
import type { LvsaAttentionProcessor } from "./lvsa-attention-processor.js";
import type { Installation, LvsaCall, RankShard } from "./model-adapter.js";

/** Where a host hands its layers over, one owner each. */
export interface LayerClaims<Layer, Call, Result> {
  claim(
    layer: Layer,
    owner: string,
    processor: (call: Call, next: (call: Call) => Result) => Result,
  ): Disposable;
}

/** Puts the processor in charge of all layers, or of none when one is taken. */
export function claimLayers<Layer, Call extends LvsaCall, Result>(
  claims: LayerClaims<Layer, Call, Result>,
  layers: readonly Layer[],
  processor: Pick<LvsaAttentionProcessor<Call, Result>, "process"> & { readonly owner?: string },
): Installation {
  const made: Disposable[] = [];
  const release = () => {
    for (const claim of made.splice(0)) claim[Symbol.dispose]();
  };
  try {
    for (const layer of layers) {
      made.push(
        claims.claim(layer, processor.owner ?? "lvsa", (call, next) => processor.process(call, next)),
      );
    }
  } catch (error) {
    release();
    throw error;
  }
  return { blocks: layers.length, [Symbol.dispose]: release };
}

/** Tokens of each rank when `worldSize` ranks share a clip. @throws ConfigError with the nearest lengths that work */
export function shareTokens(
  clip: { readonly latentFrames: number; readonly patchesPerFrame: number },
  worldSize: number,
): number {
  const tokens = clip.latentFrames * clip.patchesPerFrame;
  if (tokens % worldSize === 0) return tokens / worldSize;
  const nearest = nearestDivisibleFrames(clip.latentFrames, clip.patchesPerFrame, worldSize);
  throw new ConfigError("NOT_DIVISIBLE", `${worldSize} ranks cannot share ${tokens} tokens equally`, {
    fix: `Use ${nearest.join(" or ")} latent frames.`,
  });
}

/** The call with one rank's rows of the rotary tables; the call itself where it has none. */
export function shardRotary<
  Call extends { readonly rotary?: { readonly cos: Tensor; readonly sin: Tensor } },
>(call: Call, { rank, worldSize }: RankShard): Call {
  if (!call.rotary) return call;
  const rows = call.rotary.cos.dim(0) / worldSize;
  const slice = (table: Tensor) => table.rows(rank * rows, (rank + 1) * rows);
  return { ...call, rotary: { cos: slice(call.rotary.cos), sin: slice(call.rotary.sin) } };
}
