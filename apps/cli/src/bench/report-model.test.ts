import { expect, it } from "vitest";
import { benchModelRuns, parseBenchModelOptions } from "../options/bench-options.js";
import { reportText } from "./report.js";
import { reportHtml } from "./report-html.js";
import { modelReport } from "./report-model.js";
import type { BenchModelResult } from "./run-bench-model.js";

const result: BenchModelResult = {
  model: "wan2.1-t2v-1.3b",
  device: "a GPU",
  attention: "lvsa",
  precision: "f16",
  kernels: "linear: matrix-f16",
  width: 832,
  height: 480,
  numFrames: 321,
  latentFrames: 81,
  videoTokens: 126_360,
  attendedFraction: 0.25,
  phases: [
    { name: "loading", seconds: 2, planBytes: undefined, poolBytes: 3e9, driverBytes: 3.1e9 },
    { name: "denoising", seconds: 73.2, planBytes: 8e9, poolBytes: 8e9, driverBytes: 8.4e9 },
  ],
  predictions: 1,
  forwardSeconds: [75, 73.2],
  decodedFrames: 321,
  memorySource: "nvidia-smi",
};

it("shows plan, books and the driver's count side by side", () => {
  const text = reportText(modelReport([result]));
  expect(text.split("\n").map((line) => line.replace(/ +/g, " ").trim())).toEqual([
    "a GPU",
    "wan2.1-t2v-1.3b, 832x480, 321 frames (126360 tokens), lvsa, 25.0 % attended",
    "",
    "phase seconds plan pool nvidia-smi ratio to plan",
    "loading 2.00 3.00 GB 3.10 GB",
    "denoising (one forward) 73.20 8.00 GB 8.00 GB 8.40 GB 1.05",
    "",
    "Forward passes: 75.00, 73.20 s",
    "Activations in f16; linear: matrix-f16",
    "Decoded 321 frames.",
    "",
  ]);
});

it("refuses options that change nothing", () => {
  expect(() => parseBenchModelOptions({ config: "x", windowSize: "4" })).toThrow(/without --lvsa/);
  expect(parseBenchModelOptions({ config: "x", lvsa: true, windowSize: "4" }).windowSize).toBe(4);
  expect(parseBenchModelOptions({ config: "x", encoderLayers: "all" }).encoderLayers).toBe(
    Number.POSITIVE_INFINITY,
  );
});

it("runs every length, dense before sparse where that is asked for", () => {
  const runs = (raw: object) =>
    benchModelRuns(parseBenchModelOptions({ config: "x", ...raw })).map(({ numFrames, lvsa }) => [
      numFrames,
      lvsa,
    ]);
  expect(runs({})).toEqual([[undefined, false]]);
  expect(runs({ numFrames: "81,161" })).toEqual([
    [81, false],
    [161, false],
  ]);
  expect(runs({ numFrames: "81,161", lvsa: true, againstDense: true })).toEqual([
    [81, false],
    [81, true],
    [161, false],
    [161, true],
  ]);
  expect(() => runs({ againstDense: true })).toThrow(/without --lvsa/);
  expect(() => runs({ numFrames: "81,x" })).toThrow(/whole number/);
  expect(() => runs({ json: true, markdown: true })).toThrow(/goes not together/);
});

it("draws time against the length of the clip, and the share of each operation", () => {
  const profile = {
    denoising: [
      { name: "attention", count: 30, milliseconds: 75 },
      { name: "linear", count: 300, milliseconds: 25 },
    ],
  };
  const report = modelReport([
    { ...result, attention: "dense", attendedFraction: 1 },
    { ...result, profile },
  ]);
  expect(report.sections.map(({ rows }) => rows.length)).toEqual([2, 2, 2, 3]);
  expect(report.sections[0]!.rows).toEqual([
    ["321", "dense", "100.0 %", "73.20", ""],
    ["321", "lvsa", "25.0 %", "73.20", ""],
  ]);
  // Decoding was not measured: no chart of it.
  expect(report.sections[0]!.charts).toHaveLength(1);
  expect(reportText(report)).toMatch(/attention +30 +75\.00 +2500\.0 +75\.0 %/);
  const page = reportHtml(report);
  expect(page.match(/<svg/g)).toHaveLength(2);
  expect(page).toContain("75.0 %, 75.0 ms");
});
