/** `lvsa bench kernels` as text. */
import type { AttentionBench } from "@lvsa/core/bench";
import { renderTable } from "../output/table.js";
import { formatShare } from "../output/units.js";

/** For people; ends with a newline. */
export function renderBench({ device, kernels, shape, dense, rows, meanEfficiency }: AttentionBench): string {
  const { frames, patchesPerFrame, heads, headDim, dtype } = shape;
  const columns = [
    { title: "attention" },
    { title: "attended", align: "right" },
    { title: "ms", align: "right" },
    { title: "GFLOP/s", align: "right" },
    { title: "time / dense", align: "right" },
    { title: "efficiency", align: "right" },
  ] as const;
  const table = renderTable(columns, [
    ["dense", formatShare(1), dense.milliseconds.toFixed(1), dense.gflops.toFixed(0), "1.000", ""],
    ...rows.map((row) => [
      "lvsa",
      formatShare(row.attendedFraction),
      row.milliseconds.toFixed(1),
      row.gflops.toFixed(0),
      row.timeRatio.toFixed(3),
      row.efficiency.toFixed(2),
    ]),
  ]);
  const lines = [
    `${device}; ${kernels}`,
    `${frames} latent frames x ${patchesPerFrame} tokens, ${heads} head(s) of ${headDim}, ${dtype}`,
    "",
    ...table,
    "",
    `Mean efficiency ${meanEfficiency.toFixed(2)} (attended share over time share; 1 when all saved work is saved time).`,
  ];
  return `${lines.join("\n")}\n`;
}
