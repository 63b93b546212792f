/** Frame counts and sizes that a model takes. */
import { UsageError } from "@lvsa/runtime";

export interface LatentGrid {
  readonly temporalFactor: number;
  readonly spatialFactor: number;
  readonly patchSize: readonly [number, number, number];
  readonly latentChannels: number;
}

/** Latent size `[1, C, T, h, w]` of a clip. @throws ConfigError that names the nearest values that fit */
export function latentShape(
  grid: LatentGrid,
  numFrames: number,
  height: number,
  width: number,
): [number, number, number, number, number] {
  checkFrames(grid.temporalFactor, numFrames);
  checkSize("height", height, grid.spatialFactor * grid.patchSize[1]);
  checkSize("width", width, grid.spatialFactor * grid.patchSize[2]);
  return [
    1,
    grid.latentChannels,
    (numFrames - 1) / grid.temporalFactor + 1,
    height / grid.spatialFactor,
    width / grid.spatialFactor,
  ];
}

/** @throws ConfigError unless frames = factor·k + 1 */
export function checkFrames(factor: number, numFrames: number): void {
  if (Number.isInteger(numFrames) && numFrames >= 1 && (numFrames - 1) % factor === 0) return;
  const below = Math.max(1, Math.floor((numFrames - 1) / factor) * factor + 1);
  throw new UsageError("BAD_FRAME_COUNT", `${numFrames} frames: this model makes ${factor}k + 1 frames`, {
    fix: `Use ${below} or ${below + factor} frames.`,
  });
}

/** @throws ConfigError unless `value` is a positive multiple of `multiple` */
export function checkSize(name: "height" | "width", value: number, multiple: number): void {
  if (Number.isInteger(value) && value > 0 && value % multiple === 0) return;
  const below = Math.max(multiple, Math.floor(value / multiple) * multiple);
  throw new UsageError("BAD_SIZE", `${name} ${value}: this model needs a multiple of ${multiple}`, {
    fix: `Use ${name} ${below} or ${below + multiple}.`,
  });
}
