/**
 * LVSA for CogVideoX: joint attention of video and text with shared projections. Video queries see the attended frames
 * and all text; text queries see everything. The model has no mask, so that padded text is attended as it is in dense
 * attention: at the training length the result is that of dense attention.
 *
 * A row of the pattern is a token frame: one latent frame, or `patch_size_t` of them (CogVideoX 1.5).
 */
import { type AdapterOptions, type GeometryRules, ModelAdapter } from "@lvsa/core";

export class CogVideoXAdapter extends ModelAdapter {
  readonly family = "cogvideox";
  override readonly role = "joint";
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
}

/** @throws ConfigError `INVALID_LVSA_CONFIG` for bad options */
export function createCogVideoXAdapter(options: AdapterOptions = {}): CogVideoXAdapter {
  return new CogVideoXAdapter(options);
}
