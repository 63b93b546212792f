/** What the author of an application may set once for HunyuanVideo 1.5. */
import { type LvsaConfigInput, parseLvsaConfig } from "@lvsa/core";

export interface HunyuanAdapterOptions {
  /** Half window in video frames. Default 12. */
  readonly windowSize?: number;
  /** Leading video frames that every query attends to. Default 4. */
  readonly nFirstFrames?: number;
  /** Latent frames the model was trained on. Default: from the checkpoint's config, else 33 (129 video frames). */
  readonly referenceLatentFrames?: number;
}

/** Defaults of the family, in video frames. */
export const HUNYUAN_DEFAULTS = { windowSize: 12, nFirstFrames: 4 } as const satisfies LvsaConfigInput;

/** @throws ConfigError that names every bad field */
export function parseHunyuanOptions(
  options: HunyuanAdapterOptions,
): HunyuanAdapterOptions & typeof HUNYUAN_DEFAULTS {
  const merged = { ...HUNYUAN_DEFAULTS, ...options };
  parseLvsaConfig(merged);
  return merged as HunyuanAdapterOptions & typeof HUNYUAN_DEFAULTS;
}
