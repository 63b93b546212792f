import { describe, expect, it } from "vitest";
import { MemorySink } from "./byte-sink.js";
import type { FrameStream } from "./frames.js";
import { writeGif } from "./gif.js";
import { decodeGif } from "./read-gif.js";

/** Image data and delays, by walking the blocks of a GIF. Source: GIF89a specification. */
function walk(bytes: Uint8Array) {
  const tableSize = (flags: number) => (flags & 128 ? 3 << ((flags & 7) + 1) : 0);
  const delays: number[] = [];
  let comment = "";
  let localTables = 0;
  let images = 0;
  let at = 13 + tableSize(bytes[10]!);
  const subBlocks = () => {
    const data: number[] = [];
    while (bytes[at]! > 0) {
      data.push(...bytes.subarray(at + 1, at + 1 + bytes[at]!));
      at += bytes[at]! + 1;
    }
    at++;
    return data;
  };
  while (bytes[at] !== 0x3b) {
    if (bytes[at] === 0x21) {
      const label = bytes[at + 1];
      at += 2;
      const data = subBlocks();
      if (label === 0xf9) delays.push(data[1]! | (data[2]! << 8));
      if (label === 0xfe) comment += String.fromCharCode(...data);
    } else {
      expect(bytes[at]).toBe(0x2c);
      if (bytes[at + 9]! & 128) localTables++;
      images++;
      at += 10 + tableSize(bytes[at + 9]!) + 1;
      subBlocks();
    }
  }
  expect(at).toBe(bytes.length - 1);
  const width = bytes[6]! | (bytes[7]! << 8);
  const height = bytes[8]! | (bytes[9]! << 8);
  return { width, height, delays, comment, localTables, images, globalTable: tableSize(bytes[10]!) };
}

async function gif(stream: FrameStream, metadata = {}) {
  const sink = new MemorySink();
  const notes = await writeGif(sink, stream, metadata);
  return { notes, ...walk(sink.toBytes()) };
}

const clip = (count: number, fps: number): FrameStream => ({
  frames: Array.from({ length: count }, (_, frame) =>
    Uint8Array.from({ length: 7 * 5 * 3 }, (_, index) => (index * 11 + frame * 40) & 255),
  ),
  width: 7,
  height: 5,
  frameCount: count,
  fps,
});

describe("writeGif", () => {
  it("writes every frame in its own odd size with one palette", async () => {
    const result = await gif(clip(4, 10));
    expect(result).toMatchObject({ width: 7, height: 5, images: 4, localTables: 0, notes: [] });
    expect(result.globalTable).toBeGreaterThan(0);
  });

  it("keeps the total time when a frame is no whole number of hundredths", async () => {
    // 16 frames a second: 6.25 hundredths each.
    const { delays } = await gif(clip(16, 16));
    expect(new Set(delays)).toEqual(new Set([6, 7]));
    expect(delays.reduce((sum, delay) => sum + delay, 0)).toBe(100);
  });

  it("says so when the rate is more than GIF can play", async () => {
    const { delays, notes } = await gif(clip(2, 60));
    expect(delays).toEqual([2, 2]);
    expect(notes).toEqual(["GIF plays at most 50 frames per second; 60 was asked for"]);
  });

  it("takes no time with the square of the colours: noise has a palette, too", async () => {
    // Every 5-6-5 colour once, in turn from frame to frame.
    const [width, height] = [256, 256];
    const frame = Uint8Array.from({ length: width * height * 3 }, (_, at) => {
      const color = Math.floor(at / 3);
      return [(color >> 11) << 3, ((color >> 5) & 63) << 2, (color & 31) << 3][at % 3]!;
    });
    const noise = { frames: [frame, frame], width, height, frameCount: 2, fps: 8 };
    const sink = new MemorySink();
    await writeGif(sink, noise);
    const { frames } = decodeGif(sink.toBytes());
    const error = frames[0]!.reduce((sum, value, at) => sum + Math.abs(value - frame[at]!), 0) / frame.length;
    // 256 colours for all of RGB: steps of about 40, so 10 off on average at best.
    expect(error).toBeLessThan(16);
  });

  it("carries long and non-ASCII metadata in an ASCII comment", async () => {
    const metadata = { title: "é猫😀".repeat(100), settings: { seed: 1 } };
    const { comment } = await gif(clip(1, 10), metadata);
    expect(comment).toMatch(/^[\x20-\x7e]+$/);
    expect(JSON.parse(comment)).toEqual(metadata);
  });
});
