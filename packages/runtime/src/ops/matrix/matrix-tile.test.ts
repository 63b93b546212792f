/** Tiles of subgroup matrices: what no shader compiler can tell. */
import { expect, test } from "vitest";
import { PRETEND_DEVICES } from "../../testing/pretend-device.js";
import { CONV_MATRIX_TILES, convMatrixTiles } from "../conv/conv-variant.js";
import { linearMatrixTiles, MATRIX_TILES } from "../linear/linear-variant.js";
import { matrixProduct } from "./matrix-rules.js";
import {
  type MatrixProduct,
  type MatrixTile,
  matrixBytes,
  matrixLoads,
  matrixStart,
  matrixStep,
  matrixThreads,
  productOf,
} from "./matrix-tile.wgsl.js";

const products = [...Object.values(PRETEND_DEVICES)]
  .flatMap((device) => [matrixProduct(device, "f16"), matrixProduct(device, "f32")])
  .filter((product): product is MatrixProduct => typeof product !== "string");
const tiles: readonly MatrixTile[] = [
  ...MATRIX_TILES,
  ...Object.values(CONV_MATRIX_TILES),
  ...products.flatMap((product) => {
    const [linear, conv] = [linearMatrixTiles(product), convMatrixTiles(product)];
    return [...linear.few, ...linear.many, ...conv.narrow, ...conv.many];
  }),
];

test("which products devices have tiles for, or why not", () => {
  const said = (name: string, component: "f16" | "f32") => {
    const p = matrixProduct(PRETEND_DEVICES[name]!, component);
    return typeof p === "string" ? p : `${p.m}x${p.n}x${p.k} of ${p.lanes}${p.asksForLanes ? " asked" : ""}`;
  };
  expect(said("nvidia", "f16")).toBe("16x16x16 of 32");
  expect(said("amd", "f16")).toBe("16x16x16 of 32 asked");
  expect(said("amd, subgroups of 64", "f16")).toBe("16x16x16 of 64");
  expect(said("intel", "f16")).toBe("8x16x16 of 16 asked");
  expect(said("intel, no choice of size", "f16")).toMatch(/16 or 32 lanes, and shaders can not ask/);
  expect(said("apple", "f32")).toBe("8x8x8 of 32");
  expect(said("apple", "f16")).toBe("no f16 matrices of 16x16x16 or 8x16x16 with f32 sums");
  expect(said("nvidia", "f32")).toBe("no f32 matrices of 8x8x8 with f32 sums");
  expect(said("core", "f32")).toBe("the device has no subgroup matrices");
});

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
  expect((t.tileM / t.subgroupsM) % productOf(t).m).toBe(0);
  expect((t.tileN / t.subgroupsN) % productOf(t).n).toBe(0);
  expect(matrixThreads(t) / productOf(t).lanes).toBeLessThanOrEqual(16);
  // What NVIDIA offers; smaller devices take smaller tiles.
  expect(matrixBytes(t)).toBeLessThanOrEqual(49_152);
});
