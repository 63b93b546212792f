/** What would fit into memory, as the command line writes it. */
import type { FittingOption } from "@lvsa/diffusion/rehearsal";

export function fittingText({
  offload,
  vaeTiling,
  precision,
  storedDType,
  numFrames,
}: FittingOption): string {
  const words = [
    offload && "--offload",
    vaeTiling && "--vae-tiling",
    precision && `--precision ${precision}`,
    storedDType && `a checkpoint stored in ${storedDType}`,
  ].filter(Boolean);
  const text = words.join(" with ");
  if (numFrames === undefined) return text;
  return text ? `${text} and --num-frames ${numFrames}` : `--num-frames ${numFrames}`;
}
