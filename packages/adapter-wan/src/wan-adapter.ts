/** LVSA for Wan 2.1 and 2.2: self attention over video tokens alone, text in cross attention, which stays dense. */
import { type AdapterOptions, type GeometryRules, ModelAdapter } from "@lvsa/core";

/** Latent channels of Wan 2.2 TI2V-5B, the one Wan model with another autoencoder. */
const TI2V_CHANNELS = 48;

export class WanAdapter extends ModelAdapter {
  readonly family = "wan";
  override readonly role = "self";
  readonly rules: GeometryRules = {
    patchSize: 2,
    trainedFramesField: "sample_frames",
    // 121 video frames of TI2V-5B, 81 of the others.
    referenceLatentFrames: ({ in_channels }) => (in_channels === TI2V_CHANNELS ? 31 : 21),
  };
}

/** @throws ConfigError `INVALID_LVSA_CONFIG` for bad options */
export function createWanAdapter(options: AdapterOptions = {}): WanAdapter {
  return new WanAdapter(options);
}
