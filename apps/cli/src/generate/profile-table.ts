/** `--profile`: GPU time per kernel. */
import type { KernelTime } from "@lvsa/runtime";
import { renderTable } from "../output/table.js";
import { formatShare } from "../output/units.js";

/** Longest first, with the sum below; every line ended by a newline. */
export function profileTable(times: readonly KernelTime[]): string {
  const total = times.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const row = (name: string, count: number, ms: number) => [
    name,
    String(count),
    ms.toFixed(2),
    (count ? (ms / count) * 1000 : 0).toFixed(1),
    total > 0 ? formatShare(ms / total) : "-",
  ];
  const right = "right" as const;
  const lines = renderTable(
    [
      { title: "kernel" },
      { title: "calls", align: right },
      { title: "GPU ms", align: right },
      { title: "µs/call", align: right },
      { title: "share", align: right },
    ],
    [
      ...times.map(({ name, count, milliseconds }) => row(name, count, milliseconds)),
      row(
        "all",
        times.reduce((sum, { count }) => sum + count, 0),
        total,
      ),
    ],
  );
  return `${lines.join("\n")}\n`;
}
