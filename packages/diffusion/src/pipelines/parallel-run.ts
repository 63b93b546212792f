/** One generation on several ranks: each runs the same pipeline on a device of its own, and they exchange what they make. */
import { type Collective, SequenceParallel, shareFrames } from "@lvsa/core";
import type { Branch } from "../step-cache/decisions.js";
import { badOption } from "./bad-option.js";

/**
 * What a rank shares with others. All ranks open the same checkpoint and generate with the same options; every one of
 * them has the latents, and who asks for frames decodes them.
 */
export interface ParallelOptions {
  /**
   * Two ranks: one predicts with the prompt, the other with the negative prompt, at the same time. Equal to one device to
   * the last bit where both devices compute alike.
   */
  readonly guidance?: Collective;
  /**
   * Any number of ranks: each runs the transformer on its part of the clip's latent frames, and gets keys and values of the
   * others' from them. Differs from one device by the rounding of sums in another order.
   */
  readonly context?: Collective;
}

/** What of a generation ranks may not be able to do. */
export interface ParallelClip {
  readonly latentFrames: number;
  readonly stepCache: boolean;
  readonly guidanceBatch: boolean;
}

/** The ranks of an open pipeline. */
export class ParallelRun {
  readonly guidance: Collective | undefined;
  readonly sequence: SequenceParallel | undefined;

  /** @throws UsageError `BAD_OPTION` unless guidance has one rank or two */
  constructor({ guidance, context }: ParallelOptions = {}) {
    if (guidance && guidance.worldSize > 2) {
      throw badOption(
        `${guidance.worldSize} ranks for the two passes of guidance`,
        "Share guidance between two ranks, and the clip's frames between any number.",
      );
    }
    this.guidance = guidance?.worldSize === 2 ? guidance : undefined;
    this.sequence = context && context.worldSize > 1 ? new SequenceParallel(context) : undefined;
  }

  /**
   * Before anything is loaded.
   * @param clip latent frames, and whether a step cache or a batch of both predictions was asked for
   * @throws UsageError `BAD_OPTION` with one of these, `TOO_FEW_FRAMES` where a rank would have none
   */
  check({ latentFrames, stepCache, guidanceBatch }: ParallelClip): void {
    if (!this.guidance && !this.sequence) return;
    if (guidanceBatch) {
      throw badOption("guidanceBatch does not work on several ranks", "Leave one of the two out.");
    }
    if (stepCache) {
      // Ranks would decide by themselves, each by what it sees, and wait for passes that others leave out.
      throw badOption("stepCache does not work on several ranks", "Leave one of the two out.");
    }
    if (this.sequence) shareFrames(latentFrames, this.sequence.collective.worldSize);
  }

  /** What had no effect. */
  notes(isGuided: boolean): string[] {
    if (!this.guidance || isGuided) return [];
    return ["Both ranks ran the same pass: guidance is off, and has no second one to share."];
  }

  /** The pass that this rank runs where guidance is on; undefined: both. */
  get branch(): Branch | undefined {
    if (!this.guidance) return undefined;
    return this.guidance.rank === 0 ? "positive" : "negative";
  }

  /** Of a guided step: both predictions, of which `own` is this rank's. */
  async exchange(own: Float32Array): Promise<{ positive: Float32Array; negative: Float32Array }> {
    const bytes = new Uint8Array(own.buffer, own.byteOffset, own.byteLength);
    const [positive, negative] = await this.guidance!.allGather(bytes);
    return { positive: floats(positive!), negative: floats(negative!) };
  }
}

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.slice().buffer);
}
