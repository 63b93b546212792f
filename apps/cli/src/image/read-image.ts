/** Picture files of `--image`: PNG and JPEG, as `PIL.Image.open(…).convert("RGB")` sees them. */
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
import type { RgbImage } from "@lvsa/diffusion";
import { badImage } from "./bad-image.js";
import { decodeJpeg } from "./jpeg-image.js";
import { decodePngImage } from "./png-image.js";
import type { RgbPixels } from "./rgb-pixels.js";

/** Larger than any picture that could be decoded. */
const MAX_BYTES = 2 ** 29;

const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const JPEG = [0xff, 0xd8, 0xff];
/** What people have besides, by its first bytes: said by name. */
const OTHERS: readonly (readonly [string, RegExp])[] = [
  ["WebP", /^RIFF.{4}WEBP/s],
  ["GIF", /^GIF8/],
  ["HEIC or AVIF", /^.{4}ftyp(heic|heix|mif1|avif)/s],
  ["TIFF", /^(II\*\0|MM\0\*)/],
  ["BMP", /^BM/],
];
const TAKES = "Convert it to PNG or JPEG.";

/** The picture with its name and its file's checksum. @throws ConfigError `BAD_IMAGE` that names the file */
export async function readImage(path: string): Promise<RgbImage> {
  const found = await stat(path).catch(() => undefined);
  if (!found) throw badImage(path, "there is no such image file", "Give the path of a PNG or JPEG file.");
  if (!found.isFile()) throw badImage(path, "the image is no file", "Give the path of a PNG or JPEG file.");
  if (found.size > MAX_BYTES) {
    throw badImage(path, `the image file has ${found.size} bytes`, `Use one of at most ${MAX_BYTES}.`);
  }
  const bytes = await readFile(path).catch((cause) => {
    throw badImage(path, "the image file can not be read", "Check its permissions.", cause);
  });
  const pixels = await decodeImage(bytes, path);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { ...pixels, name: basename(path), sha256 };
}

async function decodeImage(bytes: Uint8Array, path: string): Promise<RgbPixels> {
  const begins = (signature: readonly number[]) => signature.every((byte, i) => bytes[i] === byte);
  if (begins(PNG)) return decodePngImage(bytes, path);
  if (begins(JPEG)) return await decodeJpeg(bytes, path);
  const start = String.fromCharCode(...bytes.subarray(0, 16));
  const kind = OTHERS.find(([, pattern]) => pattern.test(start))?.[0];
  throw badImage(path, kind ? `${kind} images are not read` : "the file is neither PNG nor JPEG", TAKES);
}
