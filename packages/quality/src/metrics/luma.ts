/** Brightness as OpenCV's gray: 15-bit fixed point of BT.601. */
import type { VideoFrames } from "@lvsa/video";

/** `[height, width, 3]` RGB bytes to `[height, width]` bytes. */
export function luma(rgb: Uint8Array): Uint8Array {
  const out = new Uint8Array(rgb.length / 3);
  for (let i = 0, at = 0; i < out.length; i++, at += 3) {
    out[i] = (9798 * rgb[at]! + 19235 * rgb[at + 1]! + 3735 * rgb[at + 2]! + 16384) >> 15;
  }
  return out;
}

/** Of every frame. */
export function lumaFrames(clip: VideoFrames): Uint8Array[] {
  return Array.from({ length: clip.count }, (_, index) => luma(clip.get(index)));
}
