/** What decoders make of a picture file. */
import type { RgbImage } from "@lvsa/diffusion";

export type RgbPixels = Pick<RgbImage, "data" | "width" | "height">;
