/** `lvsa bench kernels` as a report. */
import type { AttentionBench } from "@lvsa/core/bench";
import { formatShare } from "../output/units.js";
import type { Report, Section } from "./report.js";
import type { KernelBench, ProductBench } from "./run-bench-kernels.js";

const right = "right" as const;

export function kernelReport({ device, attention, products }: KernelBench): Report {
  return {
    title: `Kernels on ${device}`,
    sections: [
      ...attention.map(attentionSection),
      ...(products.length > 0 ? [productSection(device, products)] : []),
    ],
  };
}

function attentionSection({ device, kernels, shape, dense, rows, meanEfficiency }: AttentionBench): Section {
  const { frames, patchesPerFrame, heads, headDim, dtype } = shape;
  return {
    head: [
      `${device}; ${kernels}`,
      `${frames} latent frames x ${patchesPerFrame} tokens, ${heads} head(s) of ${headDim}, ${dtype}`,
    ],
    columns: [
      { title: "attention" },
      { title: "attended", align: right },
      { title: "ms", align: right },
      { title: "GFLOP/s", align: right },
      { title: "time / dense", align: right },
      { title: "efficiency", align: right },
    ],
    rows: [
      ["dense", formatShare(1), dense.milliseconds.toFixed(1), dense.gflops.toFixed(0), "1.000", ""],
      ...rows.map((row) => [
        "lvsa",
        formatShare(row.attendedFraction),
        row.milliseconds.toFixed(1),
        row.gflops.toFixed(0),
        row.timeRatio.toFixed(3),
        row.efficiency.toFixed(2),
      ]),
    ],
    notes: [
      `Mean efficiency ${meanEfficiency.toFixed(2)} (attended share over time share; 1 when all saved work is saved time).`,
    ],
    charts: [
      {
        kind: "lines",
        title: "Time of sparse attention over dense, and what it would be if all saved work were saved time",
        x: "attended share",
        y: "time / dense",
        series: [
          {
            name: "LVSA",
            points: [...rows.map((row) => [row.attendedFraction, row.timeRatio] as const), [1, 1]],
          },
          {
            name: "attended share",
            points: [
              [0, 0],
              [1, 1],
            ],
          },
        ],
      },
    ],
  };
}

function productSection(device: string, products: readonly ProductBench[]): Section {
  return {
    head: [device],
    columns: [
      { title: "operation" },
      { title: "shape" },
      { title: "stored" },
      { title: "kernel" },
      { title: "ms", align: right },
      { title: "GFLOP/s", align: right },
    ],
    rows: products.map(({ kind, shape, dtype, kernels, milliseconds, gflops }) => [
      kind === "conv" ? "conv 3x3x3" : kind,
      shapeText(shape),
      dtype,
      kernels,
      milliseconds.toFixed(3),
      gflops.toFixed(0),
    ]),
    notes: [],
  };
}

function shapeText(shape: ProductBench["shape"]): string {
  if (shape.kind === "linear") return `${shape.M} x ${shape.N} x ${shape.K}`;
  const { frames, height, width, inChannels, outChannels } = shape;
  return `${frames} frame(s) of ${height} x ${width}, ${inChannels} to ${outChannels} channels`;
}
