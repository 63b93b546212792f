import { expect, it } from "vitest";
import { renderBench } from "./render-bench-kernels.js";

it("shows dense and sparse attention side by side", () => {
  const shape = { frames: 24, patchesPerFrame: 130, heads: 1, headDim: 64, dtype: "f32" as const };
  const text = renderBench({
    device: "a GPU",
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
        ...{ device: "a GPU", shape },
      },
    ],
    meanEfficiency: 0.25 / 0.27,
  });
  expect(text.split("\n").map((line) => line.replace(/ +/g, " "))).toEqual([
    "a GPU; attention: tile",
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
