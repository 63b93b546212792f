/** LVSA for Wan 2.1 and 2.2: self attention over video tokens alone, text in cross attention, which stays dense. */
import { type AdapterOptions, type GeometryRules, ModelAdapter } from "@lvsa/core";

export class WanAdapter extends ModelAdapter {
  readonly family = "wan";
  override readonly role = "self";
  readonly rules: GeometryRules = {
    patchSize: 2,
    trainedFramesField: "sample_frames",
    // 81 video frames. A host that knows its models says otherwise for TI2V-5B.
    referenceLatentFrames: 21,
  };
}

/** @throws ConfigError `INVALID_LVSA_CONFIG` for bad options */
export function createWanAdapter(options: AdapterOptions = {}): WanAdapter {
  return new WanAdapter(options);
}
