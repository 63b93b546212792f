/** A model's benchmark as a table. */
import { profileTable } from "../generate/profile-table.js";
import { renderTable } from "../output/table.js";
import { formatBytes, formatShare } from "../output/units.js";
import type { BenchModelPhase, BenchModelResult } from "./run-bench-model.js";

/** For people; ends with a newline. */
export function renderBenchModel(result: BenchModelResult): string {
  const { model, device, width, height, numFrames, videoTokens, attention, attendedFraction } = result;
  const right = "right" as const;
  const columns = [
    { title: "phase" },
    { title: "seconds", align: right },
    { title: "plan", align: right },
    { title: "pool", align: right },
    { title: result.memorySource ?? "(nobody to ask)", align: right },
    { title: "ratio to plan", align: right },
  ] as const;
  const rows = result.phases.map((phase) => [
    phase.name === "denoising" ? "denoising (one forward)" : phase.name,
    phase.seconds.toFixed(2),
    phase.planBytes === undefined ? "" : formatBytes(phase.planBytes),
    formatBytes(phase.poolBytes),
    phase.driverBytes === undefined ? "" : formatBytes(phase.driverBytes),
    ratioToPlan(phase),
  ]);
  const lines = [
    `${device}`,
    `${model}, ${width}x${height}, ${numFrames} frames (${videoTokens} tokens), ${attention}` +
      (attention === "lvsa" ? `, ${formatShare(attendedFraction)} attended` : ""),
    "",
    ...renderTable(columns, rows),
  ];
  if (result.forwardSeconds.length > 0) {
    lines.push("", `Forward passes: ${result.forwardSeconds.map((s) => s.toFixed(2)).join(", ")} s`);
  }
  lines.push(`Activations in ${result.precision}; ${result.kernels}`);
  if (result.decodedFrames > 0) lines.push(`Decoded ${result.decodedFrames} frames.`);
  const tables = Object.entries(result.profile ?? {}).map(
    ([name, times]) => `\n${name}\n${profileTable(times)}`,
  );
  return `${lines.join("\n")}\n${tables.join("")}`;
}

function ratioToPlan({ planBytes, driverBytes, poolBytes }: BenchModelPhase): string {
  return planBytes ? ((driverBytes ?? poolBytes) / planBytes).toFixed(2) : "";
}
