/** The one error of picture files. */
import { ConfigError } from "@lvsa/runtime";

/** @param fix what to do about it */
export function badImage(path: string, what: string, fix: string, cause?: unknown): ConfigError {
  return new ConfigError("BAD_IMAGE", what, { where: path, fix, ...(cause === undefined ? {} : { cause }) });
}

/** Pillow's limit, beyond which it warns of decompression bombs. */
const MAX_PIXELS = 89_478_485;

/** Before anything is decoded. @throws ConfigError `BAD_IMAGE` */
export function checkPixels(path: string, width: number, height: number): void {
  if (width < 1 || height < 1) throw badImage(path, `the image is ${width}x${height}`, "Use another file.");
  if (width * height <= MAX_PIXELS) return;
  throw badImage(
    path,
    `the image is ${width}x${height}, more than ${MAX_PIXELS} pixels`,
    "Scale it down: a video frame has about a million.",
  );
}

export function transparent(path: string): ConfigError {
  return badImage(
    path,
    "the image has transparent pixels, and a video frame has none",
    "Put it on a background and save it without an alpha channel.",
  );
}
