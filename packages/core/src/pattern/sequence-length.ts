/** The token sequence of a clip, checked against the number of ranks before anything is loaded. */
import { ConfigError } from "@lvsa/runtime";
import { latentGrid, tokenGrid } from "./token-grid.js";

export interface SequenceLengthOptions {
  /** Video frames and pixels. */
  readonly numFrames: number;
  readonly height: number;
  readonly width: number;
  /** The transformer's `patch_size`: `[t, h, w]` or one spatial size. Default `[1, 2, 2]`. */
  readonly patchSize?: number | readonly number[];
  /** Video frames per latent frame, pixels per latent cell. */
  readonly temporalFactor: number;
  readonly spatialFactor: number;
  /** Default 1. */
  readonly worldSize?: number;
}

export interface SequenceLength {
  readonly sequenceLength: number;
  readonly latentFrames: number;
  /** Frames of the token sequence: fewer than `latentFrames` where the model patches in time. */
  readonly tokenFrames: number;
  readonly patchesPerFrame: number;
  /** `sequenceLength / worldSize`. */
  readonly perRank: number;
  /** One line that says how the length came about. */
  readonly logLine: string;
}

/**
 * Tokens of the clip. Whole frames per rank are not needed; only the token count must divide.
 *
 * @throws ConfigError for sizes that are not positive integers, or a length that `worldSize` does not divide;
 * its `fix` names the nearest `numFrames` that work.
 */
export function computeSequenceLength(options: SequenceLengthOptions): SequenceLength {
  const { numFrames, height, width, temporalFactor, spatialFactor, worldSize = 1 } = options;
  const patchSize = options.patchSize === undefined ? [1, 2, 2] : options.patchSize;
  const temporalPatch = typeof patchSize === "object" ? patchSize?.[0] : 1;
  const spatialPatch = typeof patchSize === "object" ? patchSize?.[1] : patchSize;
  const sizes = { temporalFactor, spatialFactor, temporalPatch, spatialPatch, worldSize };
  for (const [name, value] of Object.entries(sizes)) requirePositive(name, value, patchSize);

  const factors = {
    ...{ spatialFactor, temporalFactor },
    patchSize: [temporalPatch!, spatialPatch!, spatialPatch!] as const,
  };
  const gridOf = (frames: number) => {
    const latents = latentGrid({ frames, height, width }, factors);
    return { latentFrames: latents.frames, ...tokenGrid(latents, factors.patchSize) };
  };
  const { latentFrames, frames: tokenFrames, height: rows, width: columns, ...tokens } = gridOf(numFrames);
  const { patchesPerFrame, tokens: sequenceLength } = tokens;

  if (sequenceLength % worldSize !== 0) {
    const fits = (count: number) => gridOf(count).tokens % worldSize === 0;
    throw new ConfigError(
      "SEQUENCE_NOT_DIVISIBLE",
      `${tokenFrames} frames x ${rows} x ${columns} patches = ${sequenceLength} tokens can not be split evenly over ` +
        `${worldSize} ranks (${sequenceLength} % ${worldSize} = ${sequenceLength % worldSize}).`,
      { fix: `Use --num-frames ${nearestNumFrames(numFrames, temporalFactor, fits).join(" or ")}.` },
    );
  }
  const perRank = sequenceLength / worldSize;
  const patchText = typeof patchSize === "object" ? `[${patchSize.join(", ")}]` : patchSize;
  const logLine =
    `[seq_len] patch_size=${patchText}  T_lat=${latentFrames}  T_patch=${tokenFrames}  H_patch=${rows}  ` +
    `W_patch=${columns}  seq_len=${sequenceLength}  per_rank=${perRank}`;
  return { sequenceLength, latentFrames, tokenFrames, patchesPerFrame, perRank, logLine };
}

/** Nearest counts below and above on the grid `k * temporalFactor + 1` that pass. */
function nearestNumFrames(
  numFrames: number,
  temporalFactor: number,
  fits: (count: number) => boolean,
): number[] {
  const grid = Math.floor((numFrames - 1) / temporalFactor) * temporalFactor + 1;
  let below = grid - temporalFactor;
  while (below > 0 && !fits(below)) below -= temporalFactor;
  let above = grid + temporalFactor;
  while (!fits(above)) above += temporalFactor;
  return below > 0 ? [below, above] : [above];
}

function requirePositive(name: string, value: unknown, patchSize: unknown): void {
  if (typeof value === "number" && Number.isInteger(value) && value > 0) return;
  const detail = name.endsWith("Patch")
    ? `patch_size ${JSON.stringify(patchSize)}`
    : `${name} ${String(value)}`;
  throw new ConfigError("INVALID_GEOMETRY", `${detail} can not be used; expected positive integers.`);
}
