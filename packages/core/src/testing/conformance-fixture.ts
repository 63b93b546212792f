/** What a run of the conformance checks is given, and the sizes it works with. */
import type { Device } from "@lvsa/runtime";
import type { ModelAdapter } from "../adapter/model-adapter.js";
import type { AttentionCall } from "../contract/attention-processor.js";
import type { AttentionTarget } from "../contract/host.js";
import type { HostGeometry } from "../pattern/geometry.js";

/** A clip and a checkpoint of the family whose numbers are published, or follow from the model's own code. */
export interface KnownClip {
  /** As the adapter gets it from a host: factors of the autoencoder and the transformer's `config.json`. */
  readonly host: HostGeometry;
  readonly numFrames: number;
  readonly height: number;
  readonly width: number;
  /** What the transformer sees of the clip: rows of the pattern, and tokens of each. */
  readonly latentFrames: number;
  readonly patchesPerFrame: number;
  /** Latent frames that this checkpoint was trained on. */
  readonly referenceLatentFrames: number;
}

export interface ConformanceFixture {
  readonly device: Device;
  readonly adapter: ModelAdapter;
  /** Small, with weights. Nobody else may have claimed its layers. */
  readonly model: AttentionTarget;
  /** Names of the layers that LVSA has to take: all of them, and no other. */
  readonly layers: readonly string[];
  /** At least one; one for each variant that the adapter tells apart. */
  readonly known: readonly KnownClip[];
  /** A call of the first sparse layer with fresh inputs, the same for the same sizes. Freed by `release`. */
  makeCall(latentFrames: number, patchesPerFrame: number): AttentionCall;
  release?(call: AttentionCall): void;
}

export interface ConformanceCheck {
  readonly name: string;
  run(): Promise<void>;
}

/** Relative difference that two orders of the same f32 sums may have. */
export const ROUNDING = 1e-5;
/** Of the calls that are made: divisible by two and three ranks, not by four. */
export const FRAMES = 9;
export const PATCHES = 6;

/** A call of the fixture, released when `body` is done. */
export async function withCall(
  fixture: ConformanceFixture,
  frames: number,
  body: (call: AttentionCall) => Promise<void>,
): Promise<void> {
  const call = fixture.makeCall(frames, PATCHES);
  try {
    await body(call);
  } finally {
    fixture.release?.(call);
  }
}
