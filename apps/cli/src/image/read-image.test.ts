import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateSync } from "node:zlib";
import encodeJpeg, { init } from "@jsquash/jpeg/encode.js";
import { encode as encodePng } from "fast-png";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readImage } from "./read-image.js";

const folder = await mkdtemp(join(tmpdir(), "lvsa-image-"));
afterAll(() => rm(folder, { recursive: true }));

const write = async (name: string, bytes: Uint8Array) => {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
};
/** Left half red, right half blue, the lower row darker. */
const RGB = Uint8Array.from([255, 0, 0, 0, 0, 255, 128, 0, 0, 0, 0, 128]);

describe("PNG", () => {
  it("gives the bytes, the name without its folder, and the file's checksum", async () => {
    const bytes = encodePng({ width: 2, height: 2, data: RGB, channels: 3, depth: 8 });
    expect(await readImage(await write("rgb.png", bytes))).toEqual({
      ...{ width: 2, height: 2, data: RGB, name: "rgb.png" },
      sha256: createHash("sha256").update(bytes).digest("hex"),
    });
  });

  it.each([
    ["grey", { channels: 1, depth: 8, data: Uint8Array.from([0, 50, 200, 255]) }, [0, 50, 200, 255]],
    [
      "16 bits with alpha",
      {
        channels: 2,
        depth: 16,
        data: Uint16Array.from([0, 65535, 0x32ff, 65535, 0xc800, 65535, 65535, 65535]),
      },
      [0, 50, 200, 255],
    ],
    [
      "opaque grey and alpha",
      { channels: 2, depth: 8, data: Uint8Array.from([1, 255, 2, 255, 3, 255, 4, 255]) },
      [1, 2, 3, 4],
    ],
  ] as const)("reads %s", async (name, png, grey) => {
    const bytes = encodePng({ width: 2, height: 2, ...png });
    const { data } = await readImage(await write(`${name}.png`, bytes));
    expect([...data]).toEqual(grey.flatMap((value) => [value, value, value]));
  });

  it("reads colours of 16 bits by their upper 8, and lines that lie in another order", async () => {
    const data = Uint16Array.from([0x01ff, 0x8000, 0xffff, 0, 255, 256]);
    const deep = await write("48.png", encodePng({ width: 2, height: 1, channels: 3, depth: 16, data }));
    expect([...(await readImage(deep)).data]).toEqual([1, 128, 255, 0, 0, 1]);
    // Adam7: of 2 x 2 pixels the first, then the one beside it, then the row below.
    const rows = [
      [10, 20, 30],
      [40, 50, 60],
      [70, 80, 90, 1, 2, 3],
    ];
    const { data: woven } = await readImage(
      await write("adam7.png", png(2, 2, 8, 2, rows, { interlace: 1 })),
    );
    expect([...woven]).toEqual(rows.flat());
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    "is upright where an eXIf chunk says orientation %i",
    async (orientation) => {
      // Grey, three pixels in each of two rows: as Pillow turns them.
      const rows = [
        [1, 2, 3],
        [4, 5, 6],
      ];
      const upright = {
        ...{ 1: [1, 2, 3, 4, 5, 6], 2: [3, 2, 1, 6, 5, 4], 3: [6, 5, 4, 3, 2, 1], 4: [4, 5, 6, 1, 2, 3] },
        ...{ 5: [1, 4, 2, 5, 3, 6], 6: [4, 1, 5, 2, 6, 3], 7: [6, 3, 5, 2, 4, 1], 8: [3, 6, 2, 5, 1, 4] },
      }[orientation];
      for (const isLittle of [true, false]) {
        const chunks = [chunk("eXIf", tiff(orientation, isLittle))];
        const image = await readImage(await write("turned.png", png(3, 2, 8, 0, rows, ...chunks)));
        expect([image.width, image.height]).toEqual(orientation < 5 ? [3, 2] : [2, 3]);
        expect([...image.data].filter((_, i) => i % 3 === 0)).toEqual(upright);
      }
    },
  );

  it("refuses grey of 16 bits, which Pillow makes white", async () => {
    const data = Uint16Array.from([0, 300]);
    const path = await write("deep.png", encodePng({ width: 2, height: 1, channels: 1, depth: 16, data }));
    await expect(readImage(path)).rejects.toThrow("grey of 16 bits");
  });

  it("reads large ones, and those of one pixel", async () => {
    const one = await readImage(
      await write("one.png", encodePng({ width: 1, height: 1, data: RGB.subarray(0, 3), channels: 3 })),
    );
    expect(one).toMatchObject({ width: 1, height: 1, data: RGB.subarray(0, 3) });
    const data = new Uint8Array(4000 * 3000).fill(9);
    const large = await readImage(
      await write("large.png", encodePng({ width: 4000, height: 3000, data, channels: 1 })),
    );
    expect(large).toMatchObject({ width: 4000, height: 3000 });
    expect(large.data).toHaveLength(36_000_000);
  });

  it("reads grey of 1, 2 and 4 bits, and palettes, with rows that end within a byte", async () => {
    // 3 pixels per row: 0, the middle, the largest.
    expect([
      ...(await readImage(await write("1.png", png(3, 1, 1, 0, [[0b01100000]])))).data.slice(0, 9),
    ]).toEqual([0, 0, 0, 255, 255, 255, 255, 255, 255]);
    const two = await readImage(await write("2.png", png(3, 2, 2, 0, [[0b00011100], [0b11100000]])));
    expect([0, 3, 6, 9, 12, 15].map((i) => two.data[i])).toEqual([0, 85, 255, 255, 170, 0]);
    const four = await readImage(await write("4.png", png(3, 1, 4, 0, [[0x0f, 0x80]])));
    expect([0, 3, 6].map((i) => four.data[i])).toEqual([0, 255, 136]);
    const palette = chunk("PLTE", [10, 20, 30, 40, 50, 60]);
    const indexed = await readImage(await write("p.png", png(3, 1, 1, 3, [[0b01000000]], palette)));
    expect([...indexed.data]).toEqual([10, 20, 30, 40, 50, 60, 10, 20, 30]);
  });

  it.each([
    [
      "an alpha channel",
      () => encodePng({ width: 1, height: 1, data: Uint8Array.from([1, 2, 3, 254]), channels: 4 }),
    ],
    [
      "a palette with a clear colour",
      () => png(1, 1, 8, 3, [[0]], chunk("PLTE", [1, 2, 3]), chunk("tRNS", [0])),
    ],
    [
      "one colour that is clear",
      () => png(3, 1, 8, 2, [[1, 2, 3, 9, 8, 7, 4, 5, 6]], chunk("tRNS", [0, 9, 0, 8, 0, 7])),
    ],
  ])("refuses %s", async (name, make) => {
    const failing = readImage(await write(`${name}.png`, make()));
    await expect(failing).rejects.toMatchObject({
      code: "BAD_IMAGE",
      message: expect.stringMatching(/transparent/),
    });
  });

  it("refuses what is damaged, cut off, or huge, before it decodes it", async () => {
    const good = encodePng({ width: 2, height: 2, data: RGB, channels: 3 });
    for (const length of [9, 20, 30, good.length - 14]) {
      const failing = readImage(await write("cut.png", good.subarray(0, length)));
      await expect(failing, `${length} bytes`).rejects.toMatchObject({ code: "BAD_IMAGE" });
    }
    const flipped = good.slice();
    flipped[flipped.length - 20]! ^= 1;
    await expect(readImage(await write("bad.png", flipped))).rejects.toMatchObject({ code: "BAD_IMAGE" });
    const failing = readImage(await write("huge.png", png(40_000, 40_000, 8, 2, [])));
    await expect(failing).rejects.toThrow("the image is 40000x40000, more than 89478485 pixels");
  });
});

describe("JPEG", () => {
  const width = 16;
  const height = 24;
  /** Red above, blue below. */
  const pixels = new Uint8ClampedArray(width * height * 4).map((_, i) => {
    const isLow = i / 4 / width >= height / 2;
    return [isLow ? 0 : 250, 20, isLow ? 250 : 0, 255][i % 4]!;
  });
  let jpeg: Uint8Array;
  beforeAll(async () => {
    const wasm = import.meta.resolve("@jsquash/jpeg/codec/enc/mozjpeg_enc.wasm");
    await init(await WebAssembly.compile(await readFile(fileURLToPath(wasm))));
    const image = { data: pixels, width, height, colorSpace: "srgb" } as ImageData;
    jpeg = new Uint8Array(await encodeJpeg(image, { quality: 100 }));
  });
  const pixel = (image: { data: Uint8Array; width: number }, x: number, y: number) =>
    image.data.slice((y * image.width + x) * 3, (y * image.width + x) * 3 + 3);
  const near = (a: Uint8Array, b: readonly number[]) => a.every((value, i) => Math.abs(value - b[i]!) <= 6);

  it("decodes to what was encoded, but for the losses of quality 100", async () => {
    const image = await readImage(await write("a.jpg", jpeg));
    expect(image).toMatchObject({ width, height, name: "a.jpg" });
    expect(near(pixel(image, 3, 3), [250, 20, 0])).toBe(true);
    expect(near(pixel(image, 3, 20), [0, 20, 250])).toBe(true);
  });

  it.each([
    [1, [250, 20, 0], false],
    [2, [250, 20, 0], false],
    [4, [0, 20, 250], false],
    [5, [250, 20, 0], true],
    [7, [0, 20, 250], true],
    [3, [0, 20, 250], false],
    [6, [0, 20, 250], true],
    [8, [250, 20, 0], true],
  ] as const)("is turned as orientation %i says", async (orientation, topLeft, isSideways) => {
    for (const isLittle of [true, false]) {
      const turned = withOrientation(jpeg, orientation, isLittle);
      const image = await readImage(await write(`o${orientation}.jpg`, turned));
      expect([image.width, image.height]).toEqual(isSideways ? [height, width] : [width, height]);
      expect(near(pixel(image, 2, 2), topLeft)).toBe(true);
    }
  });

  it("refuses CMYK, 12 bits, a file that ends early, and one without a picture", async () => {
    const at = frameOffset(jpeg);
    const changed = (offset: number, value: number) => {
      const copy = jpeg.slice();
      copy[at + offset] = value;
      return copy;
    };
    const refused = async (name: string, bytes: Uint8Array, message: RegExp) =>
      expect(readImage(await write(name, bytes))).rejects.toMatchObject({
        ...{ code: "BAD_IMAGE", message: expect.stringMatching(message), where: join(folder, name) },
      });
    await refused("cmyk.jpg", changed(9, 4), /CMYK/);
    await refused("bits.jpg", changed(4, 12), /12 bits/);
    await refused("cut.jpg", jpeg.subarray(0, jpeg.length - 40), /ends early/);
    await refused("none.jpg", jpeg.subarray(0, at), /no picture/);
    const huge = jpeg.slice();
    huge.fill(0xff, at + 5, at + 9);
    await refused("huge.jpg", huge, /65535x65535/);
  });
});

it("names what it can not read", async () => {
  const text = (value: string) => new TextEncoder().encode(value);
  await expect(readImage(await write("a.webp", text("RIFF1234WEBPVP8 ")))).rejects.toThrow("WebP images");
  await expect(readImage(await write("a.txt", text("hello")))).rejects.toThrow("neither PNG nor JPEG");
  await expect(readImage(await write("empty.png", new Uint8Array()))).rejects.toThrow("neither PNG nor JPEG");
  await expect(readImage(join(folder, "missing.png"))).rejects.toThrow("there is no such image file");
  await expect(readImage(folder)).rejects.toThrow("no file");
});

/** A PNG of rows of bytes, not filtered. */
function png(
  width: number,
  height: number,
  depth: number,
  colour: number,
  rows: readonly (readonly number[])[],
  ...more: readonly (Uint8Array | { readonly interlace: number })[]
): Uint8Array {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([depth, colour, 0, 0, more.some((one) => "interlace" in one) ? 1 : 0], 8);
  const data = deflateSync(Uint8Array.from(rows.flatMap((row) => [0, ...row])));
  const signature = Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Uint8Array.from(
    [
      signature,
      chunk("IHDR", [...header]),
      ...more.filter((one) => one instanceof Uint8Array),
      chunk("IDAT", [...data]),
      chunk("IEND", []),
    ].flatMap((part) => [...part]),
  );
}

function chunk(type: string, data: readonly number[]): Uint8Array {
  const body = [...new TextEncoder().encode(type), ...data];
  const out = new Uint8Array(body.length + 8);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  out.set(body, 4);
  view.setUint32(out.length - 4, crc(body));
  return out;
}

function crc(bytes: readonly number[]): number {
  let value = 0xffffffff;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return (value ^ 0xffffffff) >>> 0;
}

/** Exif data of one entry. */
function tiff(orientation: number, isLittle = true): number[] {
  const view = new DataView(new ArrayBuffer(26));
  view.setUint16(0, isLittle ? 0x4949 : 0x4d4d);
  view.setUint16(2, 42, isLittle);
  view.setUint32(4, 8, isLittle);
  view.setUint16(8, 1, isLittle);
  view.setUint16(10, 0x0112, isLittle);
  view.setUint16(12, 3, isLittle);
  view.setUint32(14, 1, isLittle);
  view.setUint16(18, orientation, isLittle);
  return [...new Uint8Array(view.buffer)];
}

/** With an Exif segment behind the start of the file. */
function withOrientation(jpeg: Uint8Array, orientation: number, isLittle = true): Uint8Array {
  const body = [0x45, 0x78, 0x69, 0x66, 0, 0, ...tiff(orientation, isLittle)];
  return Uint8Array.from([
    ...jpeg.subarray(0, 2),
    0xff,
    0xe1,
    0,
    body.length + 2,
    ...body,
    ...jpeg.subarray(2),
  ]);
}

/** Of the marker of the frame. */
function frameOffset(jpeg: Uint8Array): number {
  return jpeg.findIndex((byte, i) => byte === 0xff && [0xc0, 0xc1, 0xc2].includes(jpeg[i + 1]!));
}
