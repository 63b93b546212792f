/** What the author of an application may set once for all CogVideoX models. */
import { type LvsaConfigInput, parseLvsaConfig } from "@lvsa/core";

export interface CogVideoXAdapterOptions {
  /** Half window in video frames. Default 12. */
  readonly windowSize?: number;
  /** Leading video frames that every query attends to. Default 4. */
  readonly nFirstFrames?: number;
  /** Token frames the model was trained on. Default: from the checkpoint's `sample_frames`, else 13 (49 video frames). */
  readonly referenceLatentFrames?: number;
}

/** Defaults of the family, in video frames. */
export const COGVIDEOX_DEFAULTS = { windowSize: 12, nFirstFrames: 4 } as const satisfies LvsaConfigInput;

/** @throws ConfigError that names every bad field */
export function parseCogVideoXOptions(
  options: CogVideoXAdapterOptions,
): CogVideoXAdapterOptions & typeof COGVIDEOX_DEFAULTS {
  const merged = { ...COGVIDEOX_DEFAULTS, ...options };
  parseLvsaConfig(merged);
  return merged as CogVideoXAdapterOptions & typeof COGVIDEOX_DEFAULTS;
}
