/** Reads back 8-bit PNG and animated PNG files: not interlaced, no palette, animation frames of full size. */
import { ConfigError } from "@lvsa/runtime/errors";
import { crc32, PNG_SIGNATURE, paeth, pipeThrough } from "./png-format.js";

/** A picture, or the frames of an animation. */
export interface PngImage {
  readonly width: number;
  readonly height: number;
  /** 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA. */
  readonly channels: number;
  /** Each `[height, width, channels]` bytes. */
  readonly frames: readonly Uint8Array[];
  /** Seconds each frame of an animation stands; empty for a still picture. */
  readonly delays: readonly number[];
  /** Texts by keyword (tEXt, and iTXt without compression). */
  readonly texts: Readonly<Record<string, string>>;
}

const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 4: 2, 6: 4 };

const bad = (what: string) => new ConfigError("PNG", `not a readable PNG: ${what}`);

function unfilter(data: Uint8Array, width: number, height: number, channels: number): Uint8Array {
  const stride = width * channels;
  if (data.length !== (stride + 1) * height) {
    throw bad(`a frame holds ${data.length} bytes, expected ${(stride + 1) * height}`);
  }
  const out = new Uint8Array(stride * height);
  for (let row = 0; row < height; row++) {
    const filter = data[row * (stride + 1)]!;
    if (filter > 4) throw bad(`row filter ${filter}, expected 0 to 4`);
    for (let column = 0; column < stride; column++) {
      const here = row * stride + column;
      const left = column < channels ? 0 : out[here - channels]!;
      const up = row === 0 ? 0 : out[here - stride]!;
      const upLeft = column < channels || row === 0 ? 0 : out[here - stride - channels]!;
      const predictions = [0, left, up, (left + up) >> 1];
      out[here] = data[row * (stride + 1) + 1 + column]! + (predictions[filter] ?? paeth(left, up, upLeft));
    }
  }
  return out;
}

function readText(type: string, data: Uint8Array): [string, string] | undefined {
  const end = data.indexOf(0);
  if (end < 0) return undefined;
  const keyword = new TextDecoder("latin1").decode(data.subarray(0, end));
  if (type === "tEXt") return [keyword, new TextDecoder("latin1").decode(data.subarray(end + 1))];
  if (data[end + 1] !== 0) return undefined;
  const languageEnd = data.indexOf(0, end + 3);
  const translatedEnd = data.indexOf(0, languageEnd + 1);
  if (languageEnd < 0 || translatedEnd < 0) return undefined;
  return [keyword, new TextDecoder().decode(data.subarray(translatedEnd + 1))];
}

/** @throws ConfigError when the bytes are damaged or use what is not supported here. */
export async function decodePng(bytes: Uint8Array): Promise<PngImage> {
  if (PNG_SIGNATURE.some((value, index) => bytes[index] !== value)) throw bad("the signature is missing");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let size: { width: number; height: number; channels: number } | undefined;
  const parts: Uint8Array[][] = [];
  const delays: number[] = [];
  const texts: Record<string, string> = {};
  let ended = false;
  for (let position = 8; !ended; ) {
    if (position + 12 > bytes.length) throw bad(`it ends at byte ${bytes.length}, inside a chunk`);
    const length = view.getUint32(position);
    const dataEnd = position + 8 + length;
    if (dataEnd + 4 > bytes.length) throw bad(`a chunk of ${length} bytes at ${position} passes the end`);
    const type = String.fromCharCode(...bytes.subarray(position + 4, position + 8));
    const data = bytes.subarray(position + 8, dataEnd);
    if (view.getUint32(dataEnd) !== crc32(bytes.subarray(position + 4, dataEnd))) {
      throw bad(`checksum of chunk ${type} at ${position}`);
    }
    if (type === "IHDR") {
      const channels = CHANNELS[data[9]!];
      if (data[8] !== 8 || channels === undefined || data[12] !== 0) {
        throw bad(`bit depth ${data[8]}, colour type ${data[9]}, interlace ${data[12]} are not supported`);
      }
      size = { width: view.getUint32(position + 8), height: view.getUint32(position + 12), channels };
    } else if (type === "fcTL") {
      const field = (offset: number) => view.getUint32(position + 8 + offset);
      if (field(4) !== size?.width || field(8) !== size.height) throw bad("an animation frame of other size");
      delays.push(view.getUint16(position + 28) / (view.getUint16(position + 30) || 100));
      parts.push([]);
    } else if (type === "IDAT") {
      if (parts.length === 0) parts.push([]);
      parts.at(-1)!.push(data);
    } else if (type === "fdAT") {
      if (parts.length === 0) throw bad("animation data before its control chunk");
      parts.at(-1)!.push(data.subarray(4));
    } else if (type === "tEXt" || type === "iTXt") {
      const text = readText(type, data);
      if (text) texts[text[0]] = text[1];
    }
    ended = type === "IEND";
    position = dataEnd + 4;
  }
  if (!size || parts.length === 0) throw bad("no picture inside");
  const { width, height, channels } = size;
  const frames: Uint8Array[] = [];
  for (const part of parts) {
    const joined = new Uint8Array(part.reduce((sum, bytes) => sum + bytes.length, 0));
    let offset = 0;
    for (const piece of part) {
      joined.set(piece, offset);
      offset += piece.length;
    }
    frames.push(
      unfilter(await pipeThrough(joined, new DecompressionStream("deflate")), width, height, channels),
    );
  }
  return { width, height, channels, frames, delays, texts };
}
