/** How ranks share a clip: whole latent frames. */
import { UsageError } from "@lvsa/runtime";

/** Frames `first` to `end` (exclusive) of a clip. */
export interface FrameRange {
  readonly first: number;
  readonly end: number;
}

/**
 * Whole frames of each rank, as evenly as can be: ranks in front have one more where they do not divide.
 * @throws UsageError `TOO_FEW_FRAMES` when a rank would have none
 */
export function shareFrames(latentFrames: number, worldSize: number): FrameRange[] {
  if (latentFrames < worldSize) {
    throw new UsageError(
      "TOO_FEW_FRAMES",
      `${worldSize} ranks share the clip frame by frame, and it has ${latentFrames} latent frames`,
      { fix: `Use ${latentFrames} ranks or fewer, or a longer clip.` },
    );
  }
  const at = (rank: number) =>
    rank * Math.floor(latentFrames / worldSize) + Math.min(rank, latentFrames % worldSize);
  return Array.from({ length: worldSize }, (_, rank) => ({ first: at(rank), end: at(rank + 1) }));
}
