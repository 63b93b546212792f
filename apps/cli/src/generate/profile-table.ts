/** `--profile`: GPU time per kernel, and which kernels ran. */
import type { KernelTime, KernelUse } from "@lvsa/runtime";
import { type Column, renderTable } from "../output/table.js";
import { formatShare } from "../output/units.js";

const right = "right" as const;
export const PROFILE_COLUMNS: readonly Column[] = [
  { title: "kernel" },
  { title: "calls", align: right },
  { title: "GPU ms", align: right },
  { title: "µs/call", align: right },
  { title: "share", align: right },
];

/** Kernels in the order given, and their sum. */
export function profileRows(times: readonly KernelTime[]): string[][] {
  const total = times.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const row = (name: string, count: number, ms: number) => [
    name,
    String(count),
    ms.toFixed(2),
    (count ? (ms / count) * 1000 : 0).toFixed(1),
    total > 0 ? formatShare(ms / total) : "-",
  ];
  const calls = times.reduce((sum, { count }) => sum + count, 0);
  return [
    ...times.map(({ name, count, milliseconds }) => row(name, count, milliseconds)),
    row("all", calls, total),
  ];
}

/** Longest first, with the sum below; every line ended by a newline. */
export function profileTable(times: readonly KernelTime[]): string {
  return `${renderTable(PROFILE_COLUMNS, profileRows(times)).join("\n")}\n`;
}

/** Each rule that was chosen, how often, and why those before it were not; every line ended by a newline. */
export function ruleLines(uses: readonly KernelUse[]): string {
  return uses
    .flatMap(({ family, rule, count, rejected }) => [
      `${family}: ${rule}, ${count} times`,
      ...rejected.map((other) => `  not ${other.rule}: ${other.reason}`),
    ])
    .map((line) => `${line}\n`)
    .join("");
}
