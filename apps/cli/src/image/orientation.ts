/** Which way up a picture is, as Exif says: `PIL.ImageOps.exif_transpose`. */
import type { RgbPixels } from "./rgb-pixels.js";

const ORIENTATION = 0x0112;
const SHORT = 3;

/** Of Exif data, which begin as a TIFF file: 1 to 8; 1 where they state none that is known. */
export function exifOrientation(tiff: Uint8Array): number {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  if (tiff.length < 8) return 1;
  const isLittle = view.getUint16(0) === 0x4949;
  const start = view.getUint32(4, isLittle);
  if (start + 2 > tiff.length) return 1;
  const count = view.getUint16(start, isLittle);
  for (let i = 0; i < count && start + 14 + 12 * i <= tiff.length; i++) {
    const at = start + 2 + 12 * i;
    if (view.getUint16(at, isLittle) !== ORIENTATION || view.getUint16(at + 2, isLittle) !== SHORT) continue;
    const value = view.getUint16(at + 8, isLittle);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** The picture as it is meant to be seen, of one that lies as the orientation says. */
export function upright(image: RgbPixels, orientation: number): RgbPixels {
  if (orientation === 1) return image;
  const isSideways = orientation >= 5;
  const [width, height] = isSideways ? [image.height, image.width] : [image.width, image.height];
  const data = new Uint8Array(image.data.length);
  // Where the first row of the file is at the bottom or at the right, and its first column.
  const isBackX = [2, 3, 7, 8].includes(orientation);
  const isBackY = [3, 4, 6, 7].includes(orientation);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [along, across] = isSideways ? [y, x] : [x, y];
      const fromX = isBackX ? image.width - 1 - along : along;
      const fromY = isBackY ? image.height - 1 - across : across;
      const from = (fromY * image.width + fromX) * 3;
      data.set(image.data.subarray(from, from + 3), (y * width + x) * 3);
    }
  }
  return { width, height, data };
}
