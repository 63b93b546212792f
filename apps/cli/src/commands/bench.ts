/** `lvsa bench kernels` and `lvsa bench model`: what this machine does, without a checkpoint. */
import { createDevice } from "@lvsa/runtime/node";
import type { Command } from "commander";
import { openDriverProbe, openResidentProbe } from "../bench/memory-probe.js";
import { type Report, reportMarkdown, reportText } from "../bench/report.js";
import { reportHtml } from "../bench/report-html.js";
import { kernelReport } from "../bench/report-kernels.js";
import { modelReport } from "../bench/report-model.js";
import { runBenchKernels } from "../bench/run-bench-kernels.js";
import { type BenchModelResult, runBenchModel } from "../bench/run-bench-model.js";
import { writeBeside } from "../generate/latents-file.js";
import { ProgressMeter } from "../generate/progress-meter.js";
import type { CommandIo } from "../io.js";
import {
  addBenchKernelsOptions,
  addBenchModelOptions,
  type BenchModelRunOptions,
  benchModelRuns,
  parseBenchKernelsOptions,
  parseBenchModelOptions,
} from "../options/bench-options.js";
import { lvsaConfigOf } from "../options/lvsa-options.js";

export function benchCommand(program: Command, io: CommandIo): void {
  const bench = program
    .command("bench")
    .description("Measure kernels, or a whole model, on this machine")
    .addHelpText(
      "after",
      `
Examples:
  lvsa bench kernels
  lvsa bench model --config wan2.1-t2v-1.3b --num-frames 321 --lvsa`,
    );
  const onNotice = (line: string) => io.err(`${line}\n`);
  const { lookForDrivers } = io;
  const softwareAdapter = () => import("@lvsa/software-adapter");

  const kernels = bench
    .command("kernels")
    .description("Attention (sparse against dense), linear layers, convolutions");
  addBenchKernelsOptions(kernels).action(async (raw: unknown) => {
    const options = parseBenchKernelsOptions(raw);
    const device = await createDevice({ adapter: options.device, softwareAdapter, onNotice, lookForDrivers });
    try {
      const result = await runBenchKernels(device, options.shape);
      await show(io, options, result, kernelReport(result));
    } finally {
      device.dispose();
    }
  });

  const model = bench
    .command("model")
    .description("Time and memory of a real configuration, on random weights: no checkpoint is needed");
  addBenchModelOptions(model).action(async (raw: unknown) => {
    const options = parseBenchModelOptions(raw);
    const results: BenchModelResult[] = [];
    const meter = new ProgressMeter({ write: io.redraw, isTerminal: io.isTerminal });
    try {
      for (const run of benchModelRuns(options)) results.push(await benchOne(run, meter));
    } finally {
      meter.clear();
    }
    await show(io, options, results.length > 1 ? results : results[0]!, modelReport(results));
  });

  /** On a device of its own, so that nothing of the run before it counts. */
  async function benchOne(options: BenchModelRunOptions, meter: ProgressMeter): Promise<BenchModelResult> {
    // Both kinds of memory are counted from before the device exists; which one counts is known afterwards.
    using driver = openDriverProbe();
    using resident = openResidentProbe();
    const device = await createDevice({
      adapter: options.device,
      softwareAdapter,
      onNotice,
      lookForDrivers,
      math: options.math,
      ...(options.profile ? { profile: true } : {}),
    });
    try {
      return await runBenchModel({
        device,
        probe: device.info.hardware === "software" ? resident : driver,
        options,
        config: lvsaConfigOf(options),
        onProgress: (line) => meter.show(line),
      });
    } finally {
      device.dispose();
    }
  }
}

async function show(
  io: CommandIo,
  { json, markdown, html }: { json: boolean; markdown: boolean; html?: string | undefined },
  result: unknown,
  report: Report,
): Promise<void> {
  if (json) io.out(`${JSON.stringify(result, undefined, 2)}\n`);
  else io.out(markdown ? reportMarkdown(report) : reportText(report));
  if (html === undefined) return;
  const path = await writeBeside(html, new TextEncoder().encode(reportHtml(report)));
  io.err(`Page: ${path}\n`);
}
