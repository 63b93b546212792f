import { expect, it } from "vitest";
import { parseBenchModelOptions } from "../options/bench-options.js";
import { renderBenchModel } from "./render-bench-model.js";

it("shows plan, books and the driver's count side by side", () => {
  const text = renderBenchModel({
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
    forwardSeconds: [75, 73.2],
    decodedFrames: 321,
    memorySource: "nvidia-smi",
  });
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
