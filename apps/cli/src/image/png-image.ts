/** PNG files of every kind to RGB bytes. */
import { convertIndexedToRgb, type DecodedPng, decode } from "fast-png";
import { badImage, checkPixels, transparent } from "./bad-image.js";
import { exifOrientation, upright } from "./orientation.js";
import type { RgbPixels } from "./rgb-pixels.js";

/** Upright as an `eXIf` chunk says. @throws ConfigError `BAD_IMAGE` */
export function decodePngImage(bytes: Uint8Array, path: string): RgbPixels {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Signature, length and name of the first chunk, then the size.
  if (bytes.length >= 24) checkPixels(path, view.getUint32(16), view.getUint32(20));
  let png: DecodedPng;
  try {
    png = decode(bytes, { checkCrc: true });
  } catch (cause) {
    const why = cause instanceof Error ? `: ${cause.message}` : "";
    throw badImage(path, `the PNG file can not be read${why}`, "Copy or download the file again.", cause);
  }
  const { width, height } = png;
  if (png.depth === 16 && png.channels === 1) {
    throw badImage(
      path,
      "the PNG is grey of 16 bits, which diffusers' loader makes white where it is not almost black",
      "Save it with 8 bits per channel.",
    );
  }
  const { samples, channels, maximum } = samplesOf(png);
  const colours = channels < 3 ? 1 : 3;
  const hasAlpha = channels === 2 || channels === 4;
  const clear = png.palette ? undefined : png.transparency;
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    const at = i * channels;
    if (hasAlpha && samples[at + channels - 1] !== maximum) throw transparent(path);
    if (clear && isColour(samples, at, clear, colours)) throw transparent(path);
    for (let c = 0; c < 3; c++) {
      const value = samples[at + (colours === 1 ? 0 : c)]!;
      // Of 16 bits of a colour the upper 8 count, as in Pillow; fewer than 8 are spread over the whole range.
      data[i * 3 + c] = maximum > 255 ? value >> 8 : Math.round((value * 255) / maximum);
    }
  }
  const exif = findChunk(bytes, "eXIf");
  return upright({ width, height, data }, exif ? exifOrientation(exif) : 1);
}

/** Data of the first chunk of that name, of a file that was decoded without complaints. */
function findChunk(bytes: Uint8Array, wanted: string): Uint8Array | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (name === wanted) return bytes.subarray(at + 8, at + 8 + length);
    at += 12 + length;
  }
  return undefined;
}

function isColour(
  samples: ArrayLike<number>,
  at: number,
  colour: ArrayLike<number>,
  colours: number,
): boolean {
  for (let c = 0; c < colours; c++) if (samples[at + c] !== colour[c]) return false;
  return true;
}

/** One number per channel and pixel. */
function samplesOf(png: DecodedPng): { samples: ArrayLike<number>; channels: number; maximum: number } {
  const { data, depth, channels, width, height, palette } = png;
  if (palette) return { samples: convertIndexedToRgb(png), channels: palette[0]!.length, maximum: 255 };
  const maximum = 2 ** depth - 1;
  if (depth >= 8) return { samples: data, channels, maximum };
  // Grey alone has fewer than 8 bits; rows begin with a byte of their own.
  const samples = new Uint8Array(width * height);
  const rowBytes = Math.ceil((width * depth) / 8);
  for (let i = 0; i < samples.length; i++) {
    const bit = (i % width) * depth;
    const byte = data[Math.floor(i / width) * rowBytes + (bit >> 3)]!;
    samples[i] = (byte >> (8 - depth - (bit & 7))) & maximum;
  }
  return { samples, channels: 1, maximum };
}
