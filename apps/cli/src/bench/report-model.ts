/** Benchmarks of models as a report. */
import type { KernelTime } from "@lvsa/runtime";
import { PROFILE_COLUMNS, profileRows } from "../generate/profile-table.js";
import { formatBytes, formatShare } from "../output/units.js";
import type { Chart, Report, Section } from "./report.js";
import type { BenchModelPhase, BenchModelResult } from "./run-bench-model.js";

const right = "right" as const;

/** @param results one or more, of one model on one device */
export function modelReport(results: readonly BenchModelResult[]): Report {
  const { model, device } = results[0]!;
  const sections = results.flatMap((result) => [runSection(result), ...profileSections(result)]);
  return {
    title: `${model} on ${device}`,
    sections: [...(results.length > 1 ? [horizonSection(results)] : []), ...sections],
  };
}

function runSection(result: BenchModelResult): Section {
  const { model, device, width, height, numFrames, videoTokens, attention, attendedFraction } = result;
  const notes: string[] = [];
  if (result.forwardSeconds.length > 0) {
    notes.push(`Forward passes: ${result.forwardSeconds.map((s) => s.toFixed(2)).join(", ")} s`);
  }
  notes.push(`Activations in ${result.precision}; ${result.kernels}`);
  if (result.decodedFrames > 0) notes.push(`Decoded ${result.decodedFrames} frames.`);
  return {
    head: [
      device,
      `${model}, ${width}x${height}, ${numFrames} frames (${videoTokens} tokens), ${attention}${
        attention === "lvsa" ? `, ${formatShare(attendedFraction)} attended` : ""
      }`,
    ],
    columns: [
      { title: "phase" },
      { title: "seconds", align: right },
      { title: "plan", align: right },
      { title: "pool", align: right },
      { title: result.memorySource ?? "(nobody to ask)", align: right },
      { title: "ratio to plan", align: right },
    ],
    rows: result.phases.map((phase) => [
      phase.name === "denoising"
        ? `denoising (one forward${result.predictions === 2 ? " of two predictions" : ""})`
        : phase.name,
      phase.seconds.toFixed(2),
      phase.planBytes === undefined ? "" : formatBytes(phase.planBytes),
      formatBytes(phase.poolBytes),
      phase.driverBytes === undefined ? "" : formatBytes(phase.driverBytes),
      ratioToPlan(phase),
    ]),
    notes,
  };
}

/** What all runs took side by side: time against the length of the clip. */
function horizonSection(results: readonly BenchModelResult[]): Section {
  const seconds = (result: BenchModelResult, name: BenchModelPhase["name"]) =>
    result.phases.find((phase) => phase.name === name)?.seconds;
  const cell = (value: number | undefined) => value?.toFixed(2) ?? "";
  const chart = (name: BenchModelPhase["name"], title: string): Chart[] => {
    const series = [...new Set(results.map((result) => result.attention))].flatMap((attention) => {
      const points = results
        .filter((result) => result.attention === attention)
        .flatMap((result) => {
          const taken = seconds(result, name);
          return taken === undefined ? [] : [[result.numFrames, taken] as const];
        });
      return points.length > 0 ? [{ name: attention, points }] : [];
    });
    return series.length > 0 ? [{ kind: "lines", title, x: "video frames", y: "seconds", series }] : [];
  };
  return {
    head: [`${results[0]!.model}: time against the length of the clip`],
    columns: [
      { title: "frames", align: right },
      { title: "attention" },
      { title: "attended", align: right },
      { title: "forward s", align: right },
      { title: "decoding s", align: right },
    ],
    rows: results.map((result) => [
      String(result.numFrames),
      result.attention,
      formatShare(result.attendedFraction),
      cell(seconds(result, "denoising")),
      cell(seconds(result, "decoding")),
    ]),
    notes: [],
    charts: [
      ...chart("denoising", "One forward pass"),
      ...chart("decoding", "Decoding, which does not depend on the attention"),
    ],
  };
}

function profileSections({ profile = {}, numFrames, attention }: BenchModelResult): Section[] {
  return Object.entries(profile).map(([phase, times]) =>
    profileSection(`${phase}, ${numFrames} frames, ${attention}`, times),
  );
}

function profileSection(name: string, times: readonly KernelTime[]): Section {
  const total = times.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const share = (ms: number) => (total > 0 ? ms / total : 0);
  return {
    head: [name],
    columns: PROFILE_COLUMNS,
    rows: profileRows(times),
    notes: [],
    charts: [
      {
        kind: "bars",
        title: `Share of each operation: ${name}`,
        bars: times.slice(0, MOST_BARS).map(({ name: kernel, milliseconds }) => ({
          name: kernel,
          share: share(milliseconds),
          label: `${formatShare(share(milliseconds))}, ${milliseconds.toFixed(1)} ms`,
        })),
      },
    ],
  };
}

const MOST_BARS = 20;

function ratioToPlan({ planBytes, driverBytes, poolBytes }: BenchModelPhase): string {
  return planBytes ? ((driverBytes ?? poolBytes) / planBytes).toFixed(2) : "";
}
