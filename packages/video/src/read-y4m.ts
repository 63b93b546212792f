/**
 * Reads YUV4MPEG2 (`.y4m`), 8 bits: what programs hand each other uncompressed. The format does not say which colours its
 * numbers mean; they are taken as BT.709, limited range unless the header says `XCOLORRANGE=FULL`.
 */
import { ConfigError } from "@lvsa/runtime/errors";
import type { DecodedFrames } from "./read-gif.js";
import { yuvToRgb } from "./yuv.js";

/** Pixels for one chroma sample, across and down; none: grey. */
const CHROMA: Readonly<Record<string, readonly [number, number] | undefined>> = {
  "420": [2, 2],
  "420jpeg": [2, 2],
  "420mpeg2": [2, 2],
  "420paldv": [2, 2],
  "422": [2, 1],
  "444": [1, 1],
  mono: undefined,
};

const bad = (what: string, fix?: string) =>
  new ConfigError("VIDEO_READ", `not a readable Y4M: ${what}`, fix === undefined ? {} : { fix });

/** The text up to the next line end. */
function lineAt(bytes: Uint8Array, start: number): string {
  const end = bytes.indexOf(10, start);
  // Longer than any header: these are pixels.
  if (end < 0 || end - start > 4096) throw bad(`no header line at byte ${start}`);
  return new TextDecoder("latin1").decode(bytes.subarray(start, end));
}

/** @throws ConfigError `VIDEO_READ` for damaged bytes, more than 8 bits, or an unknown kind of chroma */
export function decodeY4m(bytes: Uint8Array): DecodedFrames {
  const header = lineAt(bytes, 0);
  const [magic, ...fields] = header.split(" ").filter(Boolean);
  if (magic !== "YUV4MPEG2") throw bad("the signature is missing");
  const field = (letter: string) => fields.find((text) => text.startsWith(letter))?.slice(1);
  const [width, height] = [Number(field("W")), Number(field("H"))];
  if (![width, height].every((n) => Number.isSafeInteger(n) && n >= 1 && n <= 65535)) {
    throw bad(`it says ${width}x${height} pixels`);
  }
  const kind = field("C") ?? "420";
  if (!Object.hasOwn(CHROMA, kind)) {
    throw bad(`chroma ${kind}`, `Known are ${Object.keys(CHROMA).join(", ")}, 8 bits.`);
  }
  const isFull = fields.includes("XCOLORRANGE=FULL");
  const chroma = CHROMA[kind];
  const planes = {
    luma: width * height,
    chroma: chroma ? Math.ceil(width / chroma[0]) * Math.ceil(height / chroma[1]) : 0,
  };
  const size = planes.luma + 2 * planes.chroma;
  const frames: Uint8Array[] = [];
  for (let position = header.length + 1; position < bytes.length; ) {
    const line = lineAt(bytes, position);
    if (!/^FRAME( |$)/.test(line)) throw bad(`frame ${frames.length} does not begin with FRAME`);
    position += line.length + 1;
    if (position + size > bytes.length) throw bad(`it ends inside of frame ${frames.length}`);
    const frame = bytes.subarray(position, position + size);
    frames.push(yuvToRgb(frame, width, height, { chroma, isFull }));
    position += size;
  }
  if (frames.length === 0) throw bad("no frames inside");
  const [numerator, denominator] = (field("F") ?? "").split(":").map(Number);
  const fps = (numerator ?? 0) / (denominator ?? 0);
  return { frames, width, height, fps: fps > 0 && Number.isFinite(fps) ? fps : undefined };
}
