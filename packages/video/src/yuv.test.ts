import { describe, expect, it } from "vitest";
import { evenSize, i420Bytes, rgbToI420 } from "./yuv.js";

const flat = (r: number, g: number, b: number, width = 2, height = 2) => {
  const rgb = new Uint8Array(width * height * 3);
  for (let at = 0; at < rgb.length; at += 3) rgb.set([r, g, b], at);
  return rgb;
};

/** BT.709 in floating point, before rounding. */
const exact = (r: number, g: number, b: number) => {
  const luma = (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
  return [
    16 + 219 * luma,
    128 + (224 * (b / 255 - luma)) / 1.8556,
    128 + (224 * (r / 255 - luma)) / 1.5748,
  ] as const;
};

describe("rgbToI420", () => {
  it("gives the published codes of the primaries and their mixtures", () => {
    // 8-bit BT.709 colour bars.
    const bars: readonly (readonly [readonly [number, number, number], readonly number[]])[] = [
      [
        [255, 255, 255],
        [235, 128, 128],
      ],
      [
        [0, 0, 0],
        [16, 128, 128],
      ],
      [
        [255, 0, 0],
        [63, 102, 240],
      ],
      [
        [0, 255, 0],
        [173, 42, 26],
      ],
      [
        [0, 0, 255],
        [32, 240, 118],
      ],
      [
        [255, 255, 0],
        [219, 16, 138],
      ],
      [
        [0, 255, 255],
        [188, 154, 16],
      ],
      [
        [255, 0, 255],
        [78, 214, 230],
      ],
    ];
    for (const [rgb, [y, cb, cr]] of bars) {
      expect([...rgbToI420(flat(...rgb), 2, 2)], String(rgb)).toEqual([y, y, y, y, cb, cr]);
    }
  });

  it("keeps every grey free of colour and its luma exactly rounded", () => {
    for (let grey = 0; grey < 256; grey++) {
      const y = Math.round(16 + (219 * grey) / 255);
      expect([...rgbToI420(flat(grey, grey, grey), 2, 2)]).toEqual([y, y, y, y, 128, 128]);
    }
  });

  it("is the nearest integer to the floating-point formula over the whole cube", () => {
    // 16-bit fixed point: coefficients are off by at most 2^-17, three of them times 255 by 0.006 in all.
    const most = 0.5 + 0.006;
    for (let r = 0; r < 256; r += 15) {
      for (let g = 0; g < 256; g += 15) {
        for (let b = 0; b < 256; b += 15) {
          const out = rgbToI420(flat(r, g, b), 2, 2);
          const [y, cb, cr] = exact(r, g, b);
          expect(Math.abs(out[0]! - y)).toBeLessThanOrEqual(most);
          expect(Math.abs(out[4]! - cb)).toBeLessThanOrEqual(most);
          expect(Math.abs(out[5]! - cr)).toBeLessThanOrEqual(most);
        }
      }
    }
  });

  it("averages chroma over each 2x2 block and keeps luma per pixel", () => {
    // One red and three black pixels: a quarter of red's chroma.
    const rgb = new Uint8Array(12);
    rgb[3] = 255;
    const cb = Math.round(128 + (102.34 - 128) / 4);
    const cr = Math.round(128 + (240 - 128) / 4);
    expect([...rgbToI420(rgb, 2, 2)]).toEqual([16, 63, 16, 16, cb, cr]);
  });

  it("repeats the last row and column of odd sizes", () => {
    // 3x1: black, white, red becomes 4x2.
    const rgb = Uint8Array.from([0, 0, 0, 255, 255, 255, 255, 0, 0]);
    const out = rgbToI420(rgb, 3, 1);
    expect(out).toHaveLength(i420Bytes(3, 1));
    expect([...out]).toEqual([16, 235, 63, 63, 16, 235, 63, 63, 128, 102, 128, 240]);
    expect([evenSize(1), evenSize(2), evenSize(831)]).toEqual([2, 2, 832]);
  });

  it("writes into the buffer it is given", () => {
    const out = new Uint8Array(6);
    expect(rgbToI420(flat(255, 255, 255), 2, 2, out)).toBe(out);
    expect(out[0]).toBe(235);
  });
});
