/**
 * Step 3: what LVSA has to know of the family. `ModelAdapter` puts the layer's own pieces together; an adapter overrides
 * the methods in which its layers differ, and does no attention mathematics.
 */
import { type AdapterOptions, type GeometryRules, ModelAdapter } from "@lvsa/core";

export class RippleAdapter extends ModelAdapter {
  // As the model names itself.
  readonly family = "ripple";
  // Which layers: those over video tokens alone. `joint` where text is attended in the same call.
  override readonly role = "self";
  // 8 pixels and 4 video frames per latent cell where the host does not say; 33 video frames are 9 latent.
  readonly rules: GeometryRules = {
    spatialFactor: 8,
    temporalFactor: 4,
    patchSize: 2,
    trainedFramesField: "sample_frames",
    referenceLatentFrames: 9,
  };
}

export function createRippleAdapter(options: AdapterOptions = {}): RippleAdapter {
  return new RippleAdapter(options);
}
