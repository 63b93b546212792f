/**
 * PNG and animated PNG, 8-bit RGB, on the platform's own deflate: lossless, the same in Node and browsers.
 * Source: W3C PNG, third edition.
 */
import { type ByteSink, MemorySink, SequentialWriter } from "./byte-sink.js";
import { toRational } from "./frame-rate.js";
import { checkedFrames, checkStream, type FrameStream } from "./frames.js";
import { commentOf, titleOf, type VideoMetadata } from "./metadata.js";
import { crc32, PNG_SIGNATURE, paeth, pipeThrough } from "./png-format.js";

const PAETH_FILTER = 4;

function chunk(type: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length);
  for (let index = 0; index < 4; index++) bytes[4 + index] = type.charCodeAt(index);
  let position = 8;
  for (const part of parts) {
    bytes.set(part, position);
    position += part.length;
  }
  view.setUint32(position, crc32(bytes.subarray(4, position)));
  return bytes;
}

/** Big-endian 32-bit numbers. */
function words(...values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, index) => {
    view.setUint32(index * 4, value);
  });
  return new Uint8Array(view.buffer);
}

function header(width: number, height: number): Uint8Array {
  // 8 bits a sample, colour type 2 (RGB), deflate, adaptive filters, not interlaced.
  return chunk("IHDR", words(width, height), Uint8Array.of(8, 2, 0, 0, 0));
}

/** Every pixel as its difference from the Paeth prediction, which deflates far better than the pixels do. */
function filterRows(rgb: Uint8Array, width: number, height: number): Uint8Array {
  const stride = width * 3;
  const out = new Uint8Array((stride + 1) * height);
  let to = 0;
  for (let row = 0; row < height; row++) {
    out[to++] = PAETH_FILTER;
    const start = row * stride;
    for (let column = 0; column < stride; column++) {
      const here = start + column;
      const left = column < 3 ? 0 : rgb[here - 3]!;
      const up = row === 0 ? 0 : rgb[here - stride]!;
      const upLeft = column < 3 || row === 0 ? 0 : rgb[here - stride - 3]!;
      out[to++] = rgb[here]! - paeth(left, up, upLeft);
    }
  }
  return out;
}

/** sRGB samples, so that viewers do not guess. */
const SRGB = /* @__PURE__ */ chunk("sRGB", Uint8Array.of(0));

function textChunks(metadata: VideoMetadata): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  const texts = { Title: titleOf(metadata), Comment: commentOf(metadata) };
  const encoder = new TextEncoder();
  for (const [keyword, text] of Object.entries(texts)) {
    // iTXt is UTF-8: keyword, then no compression, no language, no translated keyword.
    if (text !== undefined) {
      chunks.push(chunk("iTXt", encoder.encode(`${keyword}\0\0\0\0\0`), encoder.encode(text)));
    }
  }
  return chunks;
}

const compressFrame = (rgb: Uint8Array, width: number, height: number): Promise<Uint8Array> =>
  pipeThrough(filterRows(rgb, width, height), new CompressionStream("deflate"));

/**
 * Writes a stream as PNG: a still picture when it has one frame, else an animated PNG that repeats for ever
 * (and whose first frame is what a viewer without animation shows). Holds one frame at a time.
 */
export async function writePng(
  sink: ByteSink,
  stream: FrameStream,
  metadata: VideoMetadata = {},
): Promise<void> {
  checkStream(stream);
  const { width, height, frameCount, fps } = stream;
  const writer = new SequentialWriter(sink);
  await writer.append(Uint8Array.from(PNG_SIGNATURE));
  await writer.append(header(width, height));
  await writer.append(SRGB);
  const isClip = frameCount > 1;
  const texts = textChunks(metadata);
  // Programs look for the first frame in the first kilobytes to tell a clip from a picture, and texts may be long. A
  // still picture has them in front, where readers that stop at the pixels find them.
  if (isClip) await writer.append(chunk("acTL", words(frameCount, 0)));
  else for (const bytes of texts) await writer.append(bytes);

  // A frame's delay is a fraction of two 16-bit numbers.
  const rate = toRational(fps, 65535);
  const delay = Uint8Array.of(
    rate.denominator >> 8,
    rate.denominator & 255,
    rate.numerator >> 8,
    rate.numerator & 255,
  );
  let sequence = 0;
  let index = 0;
  for await (const frame of checkedFrames(stream)) {
    if (isClip) {
      // Whole frame at 0,0; leave it standing; replace what was there.
      const control = words(sequence++, width, height, 0, 0);
      await writer.append(chunk("fcTL", control, delay, Uint8Array.of(0, 0)));
    }
    const data = await compressFrame(frame, width, height);
    await writer.append(index++ === 0 ? chunk("IDAT", data) : chunk("fdAT", words(sequence++), data));
  }
  if (isClip) for (const bytes of texts) await writer.append(bytes);
  await writer.append(chunk("IEND"));
}

/** One RGB picture as PNG bytes. */
export async function encodePng(
  rgb: Uint8Array,
  width: number,
  height: number,
  metadata: VideoMetadata = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const sink = new MemorySink();
  await writePng(sink, { frames: [rgb], width, height, frameCount: 1, fps: 1 }, metadata);
  return sink.toBytes();
}
