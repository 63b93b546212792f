/**
 * LVSA for HunyuanVideo 1.5: joint attention of a video and an encoder stream. Video queries see the attended
 * frames and all valid encoder tokens; encoder queries see everything. The host's encoder stream holds valid tokens
 * only, so the attention mask is kept: at the training length the result is that of dense attention.
 */
import { type AdapterOptions, type GeometryRules, ModelAdapter } from "@lvsa/core";

export class HunyuanAdapter extends ModelAdapter {
  readonly family = "hunyuan";
  override readonly role = "joint";
  readonly rules: GeometryRules = {
    spatialFactor: 16,
    temporalFactor: 4,
    patchSize: 2,
    trainedFramesField: "sample_n_frames",
    // 129 video frames.
    referenceLatentFrames: 33,
  };
}

/** @throws ConfigError `INVALID_LVSA_CONFIG` for bad options */
export function createHunyuanAdapter(options: AdapterOptions = {}): HunyuanAdapter {
  return new HunyuanAdapter(options);
}
