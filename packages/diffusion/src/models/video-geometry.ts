/** The token grid of a transformer's latents. */
import { type GridSize, type PatchSize, tokenGrid, type VideoGeometry } from "@lvsa/core";
import { ShapeError, type Tensor } from "@lvsa/runtime";

export interface VideoGeometryOptions {
  /** Whether the model fills up partial patches at the edge. Default false. */
  readonly padsPatches?: boolean;
  /** Latent frames whose content is given; the token frames that hold them go into the result. */
  readonly conditionFrames?: readonly number[];
}

/**
 * @param model its name, for the error
 * @throws ShapeError when the latents do not divide into patches, or a condition frame is none of theirs
 */
export function videoGeometry(
  model: string,
  latents: GridSize,
  patchSize: PatchSize,
  { padsPatches = false, conditionFrames = [] }: VideoGeometryOptions = {},
): VideoGeometry {
  const { frames, height, width, patchesPerFrame } = tokenGrid(latents, patchSize, padsPatches);
  const [pt, ph, pw] = patchSize;
  const fits =
    frames * pt === latents.frames && height * ph === latents.height && width * pw === latents.width;
  if (!fits && !padsPatches) {
    throw new ShapeError(
      "SHAPE_MISMATCH",
      `${model}: latents of ${latents.frames}x${latents.height}x${latents.width} do not divide into patches of ${patchSize.join("x")}`,
      { fix: "Choose height and width that are multiples of the autoencoder's factor times the patch size." },
    );
  }
  const given = [...new Set(conditionFrames.map((frame) => Math.floor(frame / pt)))].sort((a, b) => a - b);
  if (conditionFrames.some((frame) => !Number.isInteger(frame) || frame < 0 || frame >= latents.frames)) {
    throw new ShapeError(
      "SHAPE_MISMATCH",
      `${model}: condition frames ${conditionFrames.join(", ")} are not all among the ${latents.frames} latent frames`,
      { fix: "Count latent frames from 0." },
    );
  }
  return {
    ...{ latentFrames: frames, height, width, patchesPerFrame },
    ...(given.length > 0 ? { conditionFrames: given } : {}),
  };
}

/**
 * Frames and cells of one clip's latents: `[1, C, T, h, w]`, or `[1, T, C, h, w]` where frames come first.
 *
 * @param model its name, for the error
 * @throws ShapeError
 */
export function latentGrid(
  model: string,
  { shape }: Pick<Tensor, "shape">,
  channels: number,
  { framesFirst = false, fix }: { readonly framesFirst?: boolean; readonly fix?: string } = {},
): GridSize {
  const [batch, second, third, height, width] = shape as [number, number, number, number, number];
  const [frames, found] = framesFirst ? [second, third] : [third, second];
  if (shape.length === 5 && batch === 1 && found === channels) return { frames, height, width };
  const expected = framesFirst ? `T, ${channels}` : `${channels}, T`;
  throw new ShapeError(
    "SHAPE_MISMATCH",
    `${model}: latents must be [1, ${expected}, h, w], got [${shape.join(", ")}]`,
    fix === undefined ? {} : { fix },
  );
}
