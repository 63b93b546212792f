import { expect, it } from "vitest";
import { parseKernelShape } from "./kernel-shapes.js";
import { reportMarkdown, reportText } from "./report.js";
import { reportHtml } from "./report-html.js";
import { kernelReport } from "./report-kernels.js";

const device = "a <fast> GPU";
const shape = { frames: 24, patchesPerFrame: 130, heads: 1, headDim: 64, dtype: "f32" as const };
const bench = {
  device,
  attention: [
    {
      device,
      kernels: "attention: tile",
      shape,
      dense: { milliseconds: 100, gflops: 20 },
      rows: [
        {
          ...{
            attendedFraction: 0.25,
            timeRatio: 0.27,
            efficiency: 0.25 / 0.27,
            milliseconds: 27,
            gflops: 18.5,
          },
          ...{ device, shape },
        },
      ],
      meanEfficiency: 0.25 / 0.27,
    },
  ],
  products: [],
};
const products = [
  {
    kind: "linear" as const,
    shape: { kind: "linear" as const, M: 64, N: 32, K: 16 },
    ...{ dtype: "f16" as const, kernels: "linear: matrix-f16", milliseconds: 0.5, gflops: 250_000 },
  },
];

it("shows dense and sparse attention side by side", () => {
  const text = reportText(kernelReport(bench));
  expect(text.split("\n").map((line) => line.replace(/ +/g, " "))).toEqual([
    "a <fast> GPU; attention: tile",
    "24 latent frames x 130 tokens, 1 head(s) of 64, f32",
    "",
    "attention attended ms GFLOP/s time / dense efficiency",
    "dense 100.0 % 100.0 20 1.000",
    "lvsa 25.0 % 27.0 19 0.270 0.93",
    "",
    "Mean efficiency 0.93 (attended share over time share; 1 when all saved work is saved time).",
    "",
  ]);
});

it("shows products of given shapes as text and as Markdown", () => {
  const report = kernelReport({ ...bench, attention: [], products });
  expect(reportText(report)).toMatch(/linear +64 x 32 x 16 +f16 +linear: matrix-f16 +0\.500 +250000\n/);
  expect(reportMarkdown(report)).toBe(`# Kernels on a <fast> GPU

a <fast> GPU

| operation | shape | stored | kernel | ms | GFLOP/s |
|---|---|---|---|---:|---:|
| linear | 64 x 32 x 16 | f16 | linear: matrix-f16 | 0.500 | 250000 |
`);
});

it("is a page that asks for nothing from elsewhere, and shows every point", () => {
  const page = reportHtml(kernelReport({ ...bench, products }));
  expect(page).not.toMatch(/https?:|<script|<link|src=|url\(/);
  expect(page).not.toContain("<fast>");
  expect(page).toContain("LVSA: 0.25, 0.270");
  expect(page.match(/<circle/g)).toHaveLength(4);
  // Both lines end at (1, 1); their names do not lie on each other.
  const names = [...page.matchAll(/y="([^"]*)" text-anchor="start"/g)].map(([, y]) => Number(y));
  expect(names).toHaveLength(2);
  expect(Math.abs(names[0]! - names[1]!)).toBeGreaterThanOrEqual(14);
  // Everything that is drawn lies in the picture.
  const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(page)!.map(Number);
  for (const [, x, y] of page.matchAll(/cx="([^"]*)" cy="([^"]*)"/g)) {
    expect(Number(x)).toBeGreaterThanOrEqual(0);
    expect(Number(x)).toBeLessThanOrEqual(width!);
    expect(Number(y)).toBeGreaterThanOrEqual(0);
    expect(Number(y)).toBeLessThanOrEqual(height!);
  }
});

it("takes shapes as text, and refuses what is none", () => {
  expect(parseKernelShape("32760x1536x8960")).toEqual({ kind: "linear", M: 32760, N: 1536, K: 8960 });
  expect(parseKernelShape("linear:1x2x3")).toEqual({ kind: "linear", M: 1, N: 2, K: 3 });
  expect(parseKernelShape("attention:21x1560x12x128")).toEqual({
    ...{ kind: "attention", frames: 21, patchesPerFrame: 1560, heads: 12, headDim: 128 },
  });
  expect(parseKernelShape("conv:1x60x104x384x192")).toEqual({
    ...{ kind: "conv", frames: 1, height: 60, width: 104, inChannels: 384, outChannels: 192 },
  });
  for (const wrong of [
    "",
    "12",
    "1x2",
    "0x1x1",
    "attention:1x2x3",
    "conv:1x2x3x4",
    "1x2x3x4",
    "fft:1x2x3",
    "1x2x99999999999",
  ]) {
    expect(() => parseKernelShape(wrong), wrong).toThrow(/is no shape/);
  }
  expect(() => parseKernelShape("attention:1x2x3x512")).toThrow(/at most 256/);
});
