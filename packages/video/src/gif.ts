/**
 * Animated GIF with one palette for the whole clip. The palette needs every frame before the first can be written,
 * so the clip is held as 16-bit colours: 2 bytes a pixel (65 MB for 81 frames of 832x480).
 */

import { throwIfAborted } from "@lvsa/runtime/errors";
import { type ByteSink, SequentialWriter } from "./byte-sink.js";
import { checkedFrames, checkStream, type FrameStream } from "./frames.js";
import { type Gifenc, loadGifenc } from "./gifenc.js";
import { commentOf, jsonOf, titleOf, type VideoMetadata } from "./metadata.js";

type Color = readonly [number, number, number];

/** Pixels the palette is made from; more change it little. */
const PALETTE_SAMPLES = 1 << 20;
/** Merging takes time with the square of the colours' number; of more than these, 4 bits a channel are told apart. */
const PALETTE_COLORS = 8192;
/** Browsers play anything shorter than 2/100 s at 10 frames per second. */
const SHORTEST_DELAY = 2;

const expand = (value: number, bits: 5 | 6) =>
  bits === 5 ? (value << 3) | (value >> 2) : (value << 2) | (value >> 4);

/** A 5-6-5 colour as 8-bit RGB. */
function unpack(color: number): [number, number, number] {
  return [expand(color >> 11, 5), expand((color >> 5) & 63, 6), expand(color & 31, 5)];
}

function pack(rgb: Uint8Array): Uint16Array {
  const out = new Uint16Array(rgb.length / 3);
  // Rounded to the nearest step, not cut off, which would darken the clip.
  const step = (value: number, levels: number) => Math.floor((value * levels + 127) / 255);
  for (let index = 0, at = 0; index < out.length; index++, at += 3) {
    out[index] = (step(rgb[at]!, 31) << 11) | (step(rgb[at + 1]!, 63) << 5) | step(rgb[at + 2]!, 31);
  }
  return out;
}

function choosePalette(frames: readonly Uint16Array[], quantize: Gifenc["quantize"]): Color[] {
  const total = frames.reduce((sum, frame) => sum + frame.length, 0);
  // An odd stride, so that it does not keep hitting the same columns.
  const stride = total <= PALETTE_SAMPLES ? 1 : Math.ceil(total / PALETTE_SAMPLES) | 1;
  const samples: number[] = [];
  let position = 0;
  for (const frame of frames) {
    for (; position < frame.length; position += stride) samples.push(frame[position]!);
    position -= frame.length;
  }
  const rgba = new Uint8Array(samples.length * 4);
  samples.forEach((color, index) => {
    rgba.set(unpack(color), index * 4);
    rgba[index * 4 + 3] = 255;
  });
  const format = new Set(samples).size > PALETTE_COLORS ? "rgb444" : "rgb565";
  return quantize(rgba, 256, { format }).map(([r = 0, g = 0, b = 0]): Color => [r, g, b]);
}

function nearest(palette: readonly Color[], color: number): number {
  const [r, g, b] = unpack(color);
  let best = 0;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (let index = 0; index < palette.length; index++) {
    const [pr, pg, pb] = palette[index]!;
    const distance = (r - pr) ** 2 + (g - pg) ** 2 + (b - pb) ** 2;
    if (distance < bestDistance) [best, bestDistance] = [index, distance];
  }
  return best;
}

/** A comment extension; GIF text is ASCII, so other characters become JSON escapes. */
function commentBlock(text: string): Uint8Array {
  const ascii = text.replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  const data = new TextEncoder().encode(ascii);
  const bytes: number[] = [0x21, 0xfe];
  for (let start = 0; start < data.length; start += 255) {
    const part = data.subarray(start, start + 255);
    bytes.push(part.length, ...part);
  }
  bytes.push(0);
  return Uint8Array.from(bytes);
}

/** When frame `index` starts, in hundredths of a second: the unit of a GIF. */
const startTime = (index: number, fps: number) => Math.round((index * 100) / fps);

/**
 * Writes a stream as GIF that repeats for ever. Title and settings become one JSON comment.
 *
 * @returns notes on what the format could not hold
 */
export async function writeGif(
  sink: ByteSink,
  stream: FrameStream,
  metadata: VideoMetadata = {},
): Promise<string[]> {
  checkStream(stream);
  const { width, height, fps } = stream;
  const frames: Uint16Array[] = [];
  for await (const frame of checkedFrames(stream)) frames.push(pack(frame));
  const { GIFEncoder, quantize } = await loadGifenc();
  const palette = choosePalette(frames, quantize);
  const lookup = new Int16Array(65536).fill(-1);

  const writer = new SequentialWriter(sink);
  const gif = GIFEncoder({ auto: false, initialCapacity: width * height + 1024 });
  gif.writeHeader();
  for (let index = 0; index < frames.length; index++) {
    throwIfAborted(stream.signal, `writing the video after ${index} of ${frames.length} frames`);
    const indices = new Uint8Array(width * height);
    const frame = frames[index]!;
    for (let pixel = 0; pixel < indices.length; pixel++) {
      const color = frame[pixel]!;
      if (lookup[color]! < 0) lookup[color] = nearest(palette, color);
      indices[pixel] = lookup[color]!;
    }
    // Differences of rounded times, so that the rounding does not add up.
    const delay = Math.max(startTime(index + 1, fps) - startTime(index, fps), SHORTEST_DELAY) * 10;
    const first = index === 0;
    gif.writeFrame(
      indices,
      width,
      height,
      first ? { first, palette: palette.map((color) => [...color]), delay } : { delay },
    );
    await writer.append(gif.bytes());
    gif.reset();
  }
  const title = titleOf(metadata);
  if (title !== undefined || commentOf(metadata) !== undefined) {
    await writer.append(commentBlock(jsonOf({ title, settings: metadata.settings })));
  }
  await writer.append(Uint8Array.of(0x3b));
  return fps > 100 / SHORTEST_DELAY
    ? [`GIF plays at most ${100 / SHORTEST_DELAY} frames per second; ${fps} was asked for`]
    : [];
}
