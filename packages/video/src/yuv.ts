/**
 * RGB to I420 in BT.709, limited range (Y 16…235, Cb and Cr 16…240): what players expect of an H.264 or VP9 file
 * of this size. Chroma is the mean of each 2x2 block. Source: ITU-R BT.709-6, sections 3.2 to 3.4, 8 bits.
 */

const KR = 0.2126;
const KG = 0.7152;
const KB = 0.0722;

// 16-bit fixed point. The chroma rows sum to zero exactly, so grey has Cb = Cr = 128 exactly.
const fixed = (value: number) => Math.round(value * 65536);
const Y_R = fixed((219 / 255) * KR);
const Y_G = fixed((219 / 255) * KG);
const Y_B = fixed((219 / 255) * KB);
const CB_R = fixed((((-224 / 255) * KR) / (1 - KB)) * 0.5);
const CB_B = fixed((224 / 255) * 0.5);
const CB_G = -CB_R - CB_B;
const CR_R = fixed((224 / 255) * 0.5);
const CR_B = fixed((((-224 / 255) * KB) / (1 - KR)) * 0.5);
const CR_G = -CR_R - CR_B;

/** The value as WebCodecs and the containers name it. */
export const BT709_LIMITED = {
  primaries: "bt709",
  transfer: "bt709",
  matrix: "bt709",
  fullRange: false,
} as const;

/** `size` or the next even number: 4:2:0 video has one chroma sample for two pixels. */
export function evenSize(size: number): number {
  return size + (size & 1);
}

/** Bytes of an I420 frame whose sides are rounded up to even numbers. */
export function i420Bytes(width: number, height: number): number {
  return (evenSize(width) * evenSize(height) * 3) / 2;
}

/**
 * Converts one frame. An odd side is made even by repeating its last row or column.
 *
 * @param rgb `[height, width, 3]` bytes
 * @param out receives Y `[H, W]`, Cb `[H/2, W/2]`, Cr `[H/2, W/2]` of the even size, one after another;
 *   `i420Bytes(width, height)` bytes, made when left out
 */
export function rgbToI420(
  rgb: Uint8Array,
  width: number,
  height: number,
  out: Uint8Array = new Uint8Array(i420Bytes(width, height)),
): Uint8Array {
  const paddedWidth = evenSize(width);
  const paddedHeight = evenSize(height);
  const chromaWidth = paddedWidth / 2;
  const cbStart = paddedWidth * paddedHeight;
  const crStart = cbStart + chromaWidth * (paddedHeight / 2);
  for (let row = 0; row < paddedHeight; row += 2) {
    const top = Math.min(row, height - 1) * width;
    const bottom = Math.min(row + 1, height - 1) * width;
    for (let column = 0; column < paddedWidth; column += 2) {
      const right = Math.min(column + 1, width - 1);
      let [red, green, blue] = [0, 0, 0];
      for (let corner = 0; corner < 4; corner++) {
        const pixel = ((corner & 2 ? bottom : top) + (corner & 1 ? right : column)) * 3;
        const r = rgb[pixel]!;
        const g = rgb[pixel + 1]!;
        const b = rgb[pixel + 2]!;
        const luma = (Y_R * r + Y_G * g + Y_B * b + (16 << 16) + 32768) >> 16;
        out[(row + (corner >> 1)) * paddedWidth + column + (corner & 1)] = luma;
        red += r;
        green += g;
        blue += b;
      }
      // Sums of four pixels: two more bits to shift away.
      const chroma = (row / 2) * chromaWidth + column / 2;
      out[cbStart + chroma] = (CB_R * red + CB_G * green + CB_B * blue + (128 << 18) + (1 << 17)) >> 18;
      out[crStart + chroma] = (CR_R * red + CR_G * green + CR_B * blue + (128 << 18) + (1 << 17)) >> 18;
    }
  }
  return out;
}

export interface YuvLayout {
  /** Pixels for one chroma sample, across and down; undefined: grey. */
  readonly chroma: readonly [across: number, down: number] | undefined;
  /** Values from 0 to 255 instead of BT.709's limited range. */
  readonly isFull: boolean;
}

/**
 * BT.709 back to RGB; each pixel takes the chroma sample that covers it.
 *
 * @param planes Y `[height, width]`, then Cb and Cr of the layout's size, rounded up
 * @returns `[height, width, 3]` bytes
 */
export function yuvToRgb(
  planes: Uint8Array,
  width: number,
  height: number,
  { chroma, isFull }: YuvLayout,
): Uint8Array {
  const out = new Uint8ClampedArray(width * height * 3);
  const [across, down] = chroma ?? [1, 1];
  const columns = Math.ceil(width / across);
  const cbStart = width * height;
  const crStart = cbStart + columns * Math.ceil(height / down);
  const [floor, lumaRange, chromaRange] = isFull ? [0, 255, 255] : [16, 219, 224];
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const y = ((planes[row * width + column]! - floor) * 255) / lumaRange;
      const sample = Math.floor(row / down) * columns + Math.floor(column / across);
      const cb = chroma ? ((planes[cbStart + sample]! - 128) * 255) / chromaRange : 0;
      const cr = chroma ? ((planes[crStart + sample]! - 128) * 255) / chromaRange : 0;
      const at = (row * width + column) * 3;
      const red = y + 2 * (1 - KR) * cr;
      const blue = y + 2 * (1 - KB) * cb;
      // The clamped array rounds.
      out[at] = red;
      out[at + 1] = (y - KR * red - KB * blue) / KG;
      out[at + 2] = blue;
    }
  }
  return new Uint8Array(out.buffer);
}
