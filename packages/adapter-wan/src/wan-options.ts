/** What the author of an application may set once for all Wan models. */
import { type LvsaConfigInput, parseLvsaConfig } from "@lvsa/core";

export interface WanAdapterOptions {
  /** Half window in video frames. Default 12. */
  readonly windowSize?: number;
  /** Leading video frames that every query attends to. Default 4. */
  readonly nFirstFrames?: number;
  /** Latent frames the model was trained on. Default: from the checkpoint's config, else 21, or 31 for TI2V-5B. */
  readonly referenceLatentFrames?: number;
}

/** Defaults of the family, in video frames. */
export const WAN_DEFAULTS = { windowSize: 12, nFirstFrames: 4 } as const satisfies LvsaConfigInput;

/** @throws ConfigError that names every bad field */
export function parseWanOptions(options: WanAdapterOptions): WanAdapterOptions & typeof WAN_DEFAULTS {
  const merged = { ...WAN_DEFAULTS, ...options };
  parseLvsaConfig(merged);
  return merged as WanAdapterOptions & typeof WAN_DEFAULTS;
}
