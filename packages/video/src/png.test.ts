import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MemorySink } from "./byte-sink.js";
import { encodePng, writePng } from "./png.js";
import { crc32, PNG_SIGNATURE, paeth } from "./png-format.js";
import { decodePng } from "./read-png.js";

const picture = (width: number, height: number, seed = 0) =>
  Uint8Array.from(
    { length: width * height * 3 },
    (_, index) => (index * 37 + seed * 101 + (index >> 3)) & 255,
  );

describe("PNG", () => {
  it("has the checksum of the PNG specification's annex", () => {
    // CRC of an empty IEND chunk: the last four bytes of every PNG file.
    expect(crc32(new TextEncoder().encode("IEND"))).toBe(0xae426082);
  });

  it("reads back what was written, for any size", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })).chain(([width, height]) =>
          fc.record({
            width: fc.constant(width),
            height: fc.constant(height),
            rgb: fc.uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 }),
          }),
        ),
        async ({ width, height, rgb }) => {
          const back = await decodePng(await encodePng(rgb, width, height));
          expect([back.width, back.height, back.channels]).toEqual([width, height, 3]);
          expect(back.frames).toEqual([rgb]);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("writes animations with exact delays and texts in any script", async () => {
    const frames = [0, 1, 2].map((seed) => picture(5, 3, seed));
    const sink = new MemorySink();
    const settings = { seed: 3, note: "ünï" };
    await writePng(
      sink,
      { frames, width: 5, height: 3, frameCount: 3, fps: 24000 / 1001 },
      { title: "猫が走る", settings },
    );
    const back = await decodePng(sink.toBytes());
    expect(back.frames).toEqual(frames);
    expect(back.delays).toEqual([1001 / 24000, 1001 / 24000, 1001 / 24000]);
    expect(back.texts.Title).toBe("猫が走る");
    expect(JSON.parse(back.texts.Comment!)).toEqual(settings);
  });

  it("writes a single frame as a still picture", async () => {
    const back = await decodePng(await encodePng(picture(4, 4), 4, 4));
    expect(back.delays).toEqual([]);
    expect(back.texts).toEqual({});
  });
});

describe("decodePng", () => {
  /** A PNG of one row per filter type, built by hand. */
  function byHand(rows: readonly (readonly number[])[], width: number, colorType: number): Uint8Array {
    const chunk = (type: string, data: Uint8Array) => {
      const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
      const ends = Buffer.alloc(8);
      ends.writeUInt32BE(data.length, 0);
      ends.writeUInt32BE(crc32(body), 4);
      return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
    };
    const header = Buffer.alloc(13);
    header.writeUInt32BE(width, 0);
    header.writeUInt32BE(rows.length, 4);
    header.set([8, colorType], 8);
    return Buffer.concat([
      Uint8Array.from(PNG_SIGNATURE),
      chunk("IHDR", header),
      chunk("tEXt", Buffer.from("Author\0x", "latin1")),
      chunk("IDAT", deflateSync(Uint8Array.from(rows.flat()))),
      chunk("IEND", new Uint8Array()),
    ]);
  }

  it("undoes all five filters", async () => {
    // Worked out by hand from the specification, grey, two pixels a row.
    const rows = [
      [0, 10, 20],
      [1, 5, 6],
      [2, 1, 1],
      [3, 10, 10],
      [4, 1, 250],
    ];
    const { frames, channels, texts } = await decodePng(byHand(rows, 2, 0));
    expect(channels).toBe(1);
    // 5,11 | 6,12 | 13,22 (10 + 6/2, 10 + (13+12)/2) | 14,16 (Paeth: up 13; left 14, up 22, up-left 13 takes 22)
    expect([...frames[0]!]).toEqual([10, 20, 5, 11, 6, 12, 13, 22, 14, 16]);
    expect(texts).toEqual({ Author: "x" });
  });

  it("breaks ties of the Paeth predictor in the order left, up, up-left", () => {
    // left 3 as near as up-left 1 (to 2); up 3 as near as up-left 1 (to 2); then each alone.
    expect([paeth(3, 0, 1), paeth(0, 3, 1)]).toEqual([3, 3]);
    expect([paeth(10, 0, 0), paeth(0, 10, 0), paeth(1, 3, 2)]).toEqual([10, 10, 2]);
  });

  it("refuses damaged files by name of the damage", async () => {
    const good = await encodePng(picture(3, 3), 3, 3);
    await expect(decodePng(good.subarray(1))).rejects.toThrow("signature");
    await expect(decodePng(good.subarray(0, good.length - 6))).rejects.toThrow("it ends at byte");
    const flipped = good.slice();
    flipped[60]! ^= 1;
    await expect(decodePng(flipped)).rejects.toThrow("checksum");
    const missingRow = byHand([[0, 1, 2, 3]], 2, 0);
    await expect(decodePng(missingRow)).rejects.toThrow("a frame holds 4 bytes, expected 3");
    await expect(decodePng(byHand([[9, 1, 2]], 2, 0))).rejects.toThrow("row filter 9");
    await expect(decodePng(byHand([[0, 1, 2]], 2, 3))).rejects.toThrow("colour type 3");
  });
});
