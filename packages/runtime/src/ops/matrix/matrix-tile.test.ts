/** Tiles of subgroup matrices: what no shader compiler can tell. */
import { expect, test } from "vitest";
import { CONV_MATRIX_TILES } from "../conv/conv-variant.js";
import { MATRIX_TILES } from "../linear/linear-variant.js";
import { matrixBytes, matrixLoads, matrixStart, matrixStep, matrixThreads } from "./matrix-tile.wgsl.js";

const tiles = [...MATRIX_TILES, ...Object.values(CONV_MATRIX_TILES)];

test.each(tiles)("every value of both operands is staged once: %o", (tile) => {
  const text = `${matrixStart(tile)}\n${matrixStep(tile, "")}`;
  const [, perRow, stride] = /load_at = \(thread \/ (\d+)u\) \* (\d+)u/.exec(text)!.map(Number) as [
    number,
    number,
    number,
  ];
  for (const [name, rows] of [
    ["x", tile.tileM],
    ["w", tile.tileN],
  ] as const) {
    const written = new Map<number, number>();
    for (let thread = 0; thread < matrixThreads(tile); thread++) {
      const at = Math.floor(thread / perRow) * stride + 2 * (thread % perRow);
      let limit = Number.POSITIVE_INFINITY;
      for (const line of text.split("\n")) {
        const guard = /if \(thread < (\d+)u\)/.exec(line);
        if (guard) limit = Number(guard[1]);
        const store = new RegExp(`tile_${name}\\[load_at \\+ (\\d+)u\\] =`).exec(line);
        if (store && thread < limit) {
          const place = at + Number(store[1]);
          written.set(place, (written.get(place) ?? 0) + 1);
        }
        if (/^\s*\}/.test(line)) limit = Number.POSITIVE_INFINITY;
      }
    }
    const wanted = Array.from({ length: rows }, (_, r) =>
      Array.from({ length: 2 * perRow }, (_, v) => r * stride + v),
    ).flat();
    expect([...written.keys()].sort((a, b) => a - b)).toEqual(wanted);
    expect(new Set(written.values())).toEqual(new Set([1]));
    expect(Number.isInteger(matrixLoads(tile)[name])).toBe(true);
  }
});

test.each(tiles)("subgroups divide the tile into whole matrices: %o", (t) => {
  expect((t.tileM / t.subgroupsM) % 16).toBe(0);
  expect((t.tileN / t.subgroupsN) % 16).toBe(0);
  expect(matrixThreads(t)).toBeLessThanOrEqual(256);
  // What NVIDIA offers; smaller devices take smaller tiles.
  expect(matrixBytes(t)).toBeLessThanOrEqual(49_152);
});
