/** How good a generated clip is, without a network. */
export { checkClip, clipOf, collectClip, sliceClip } from "./clip.js";
export * from "./error-codes.js";
export { type Artifacts, banding, measureArtifacts, noiseAnomaly, tiling } from "./metrics/artifacts.js";
export { blockMotion, type PairMotion } from "./metrics/block-motion.js";
export { type Changes, measureChanges } from "./metrics/changes.js";
export { type ColorDrift, measureColorDrift } from "./metrics/color-drift.js";
export { flickeringScore, measureRepetition, type Repetition } from "./metrics/embeddings.js";
export { measureFlicker } from "./metrics/flicker.js";
export { luma, lumaFrames } from "./metrics/luma.js";
export { measureRecurrence, type Recurrence } from "./metrics/recurrence.js";
export { laplacian, sharpness } from "./metrics/sharpness.js";
export {
  consecutiveCosines,
  cosine,
  type Identity,
  measureIdentity,
  signature,
  signatures,
} from "./metrics/signature.js";
export { psnr, ssim } from "./metrics/similarity.js";
export { type ClipScore, scoreClip } from "./score.js";
export { bootstrapMean, type Interval, mean, median, variance, wilsonInterval } from "./statistics.js";
