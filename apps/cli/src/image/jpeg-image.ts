/** JPEG files to RGB bytes: libjpeg's decoder, upright as the Exif orientation says. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { badImage, checkPixels } from "./bad-image.js";
import type { RgbPixels } from "./rgb-pixels.js";

interface JpegFrame {
  readonly width: number;
  readonly height: number;
  readonly components: number;
  readonly bits: number;
  /** Where the pixels begin. */
  readonly scan: number;
}

const CONVERT = "Save it as an ordinary 8-bit RGB JPEG or PNG.";

/** Walks over the segments up to the first scan. */
function readFrame(bytes: Uint8Array, path: string): JpegFrame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let frame: Omit<JpegFrame, "scan"> | undefined;
  for (let at = 2; at + 4 <= bytes.length; ) {
    if (bytes[at] !== 0xff) break;
    const marker = bytes[at + 1]!;
    // Bytes that fill up, and markers without a segment.
    if (marker === 0xff || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += marker === 0xff ? 1 : 2;
      continue;
    }
    const length = view.getUint16(at + 2);
    if (marker === 0xda) {
      if (!frame) break;
      return { ...frame, scan: at + 2 + length };
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame && at + 10 <= bytes.length) {
      frame = {
        bits: bytes[at + 4]!,
        height: view.getUint16(at + 5),
        width: view.getUint16(at + 7),
        components: bytes[at + 9]!,
      };
    }
    at += 2 + length;
  }
  throw badImage(path, "the JPEG file has no picture, or ends early", "Copy or download the file again.");
}

/** @throws ConfigError `BAD_IMAGE` */
export async function decodeJpeg(bytes: Uint8Array, path: string): Promise<RgbPixels> {
  const { width, height, components, bits, scan } = readFrame(bytes, path);
  checkPixels(path, width, height);
  if (components === 4) throw badImage(path, "the JPEG has CMYK colours", CONVERT);
  if (components !== 1 && components !== 3) {
    throw badImage(path, `the JPEG has ${components} colour channels`, CONVERT);
  }
  if (bits !== 8) throw badImage(path, `the JPEG has ${bits} bits per channel`, CONVERT);
  // The decoder fills with grey what is not there.
  if (!endsWithMarker(bytes, scan)) {
    throw badImage(path, "the JPEG file ends early", "Copy or download the file again.");
  }
  const { default: decode, init } = await import("@jsquash/jpeg/decode.js");
  const wasm = fileURLToPath(import.meta.resolve("@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm"));
  await init(await WebAssembly.compile(await readFile(wasm)));
  let image: { readonly width: number; readonly height: number; readonly data: Uint8ClampedArray };
  try {
    // A copy of its own: the decoder takes whole buffers.
    image = await decode(new Uint8Array(bytes).buffer, { preserveOrientation: true });
  } catch (cause) {
    throw badImage(path, "the JPEG file can not be decoded", "Save it again with another program.", cause);
  }
  const rgb = new Uint8Array(image.width * image.height * 3);
  for (let i = 0, at = 0; at < rgb.length; i += 4, at += 3) {
    rgb[at] = image.data[i]!;
    rgb[at + 1] = image.data[i + 1]!;
    rgb[at + 2] = image.data[i + 2]!;
  }
  return { width: image.width, height: image.height, data: rgb };
}

function endsWithMarker(bytes: Uint8Array, scan: number): boolean {
  for (let at = bytes.length - 2; at >= scan; at--)
    if (bytes[at] === 0xff && bytes[at + 1] === 0xd9) return true;
  return false;
}
