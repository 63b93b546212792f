/** The comparison as text. */
import type { PeerBench } from "./bench-peers.ts";

export function peerTable(bench: PeerBench): string {
  const head = ["kernel", "shape", "engine", "ms", "cpu ms", "GFLOP/s", "ours is faster by", "note"];
  const body = bench.rows.map((row) => [
    row.kernel,
    row.shape,
    row.engine,
    row.milliseconds.toFixed(1),
    row.cpuMilliseconds.toFixed(1),
    row.gflops.toFixed(2),
    row.ratio === undefined ? `wrong by ${(100 * row.difference).toPrecision(2)} %` : row.ratio.toFixed(2),
    row.note,
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...body.map((cells) => cells[i]!.length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join("  ")
      .trimEnd();
  return [
    `${bench.device}; our kernels: ${bench.kernels}`,
    "f32; matmul 2 M N K, attention 4 L L D H operations; engines that copy are compared with ours copying",
    line(head),
    ...body.map(line),
    ...bench.missing.map((reason) => `not compared: ${reason}`),
  ].join("\n");
}
