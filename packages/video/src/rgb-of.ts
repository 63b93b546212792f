/** Pixels of other kinds to RGB. */
import { ConfigError } from "@lvsa/runtime/errors";

/**
 * @param pixels with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) bytes each
 * @returns RGB bytes; `pixels` itself where that is what it is
 * @throws ConfigError `VIDEO_READ` for a pixel that one can see through: what lies behind is not known
 */
export function rgbOf(pixels: Uint8Array, channels: number, where: string): Uint8Array {
  if (channels === 3) return pixels;
  const count = pixels.length / channels;
  const out = new Uint8Array(count * 3);
  const isGrey = channels < 3;
  for (let i = 0; i < count; i++) {
    const at = i * channels;
    if (channels % 2 === 0 && pixels[at + channels - 1] !== 255) {
      throw new ConfigError("VIDEO_READ", "a frame has pixels that are not opaque", {
        where,
        fix: "Put it on a background first.",
      });
    }
    for (let channel = 0; channel < 3; channel++) out[i * 3 + channel] = pixels[isGrey ? at : at + channel]!;
  }
  return out;
}
