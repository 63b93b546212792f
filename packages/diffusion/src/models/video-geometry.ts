/** The token grid of a transformer's latents. */
import { type GridSize, type PatchSize, tokenGrid, type VideoGeometry } from "@lvsa/core";
import { ShapeError } from "@lvsa/runtime";

/**
 * @param model its name, for the error
 * @param padsPatches whether the model fills up partial patches at the edge. Default false
 * @throws ShapeError when the latents do not divide into patches
 */
export function videoGeometry(
  model: string,
  latents: GridSize,
  patchSize: PatchSize,
  padsPatches = false,
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
  return { latentFrames: frames, height, width, patchesPerFrame };
}
