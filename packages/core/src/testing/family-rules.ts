/**
 * Geometry rules of the model families in the reference data, written down a second time and independently
 * of the adapters, which have their own: whoever tests an adapter compares against these.
 */
import type { GeometryRules } from "../pattern/geometry.js";

export const familyGeometryRules = {
  wan: {
    patchSize: 2,
    trainedFramesField: "sample_frames",
    referenceLatentFrames: 21,
  },
  hunyuan_video: {
    spatialFactor: 16,
    temporalFactor: 4,
    patchSize: 2,
    trainedFramesField: "sample_n_frames",
    referenceLatentFrames: 33,
  },
  cogvideox: {
    spatialFactor: 8,
    temporalFactor: 4,
    patchSize: 2,
    patchEntry: "last",
    temporalPatch: true,
    trainedFramesField: "sample_frames",
    referenceLatentFrames: 13,
  },
  cosmos3: {
    spatialFactor: 16,
    temporalFactor: 4,
    patchSize: 2,
    rounding: "ceil",
    referenceLatentFrames: 48,
  },
} as const satisfies Record<string, GeometryRules>;
