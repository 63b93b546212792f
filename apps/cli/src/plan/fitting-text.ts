/** What would fit into memory, as the command line writes it. */
import type { FittingOption } from "@lvsa/diffusion/rehearsal";

export function fittingText(option: FittingOption): string {
  const { offload, vaeTiling, precision, storedDType, numFrames, windowFrames } = option;
  const words = [
    offload && "--offload",
    vaeTiling && "--vae-tiling",
    precision && `--precision ${precision}`,
    storedDType && `a checkpoint stored in ${storedDType}`,
    windowFrames && `--window-frames ${windowFrames}`,
  ].filter(Boolean);
  const text = words.join(" with ");
  if (numFrames === undefined) return text;
  return text ? `${text} and --num-frames ${numFrames}` : `--num-frames ${numFrames}`;
}
