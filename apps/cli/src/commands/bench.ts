/** `lvsa bench kernels` and `lvsa bench model`: what this machine does, without a checkpoint. */
import { benchAttention } from "@lvsa/core/bench";
import { createDevice } from "@lvsa/runtime/node";
import type { Command } from "commander";
import { openDriverProbe, openResidentProbe } from "../bench/memory-probe.js";
import { renderBench } from "../bench/render-bench-kernels.js";
import { renderBenchModel } from "../bench/render-bench-model.js";
import { runBenchModel } from "../bench/run-bench-model.js";
import { ProgressMeter } from "../generate/progress-meter.js";
import type { CommandIo } from "../io.js";
import {
  addBenchKernelsOptions,
  addBenchModelOptions,
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
  const softwareAdapter = () => import("@lvsa/software-adapter");

  const kernels = bench.command("kernels").description("Sparse against dense attention");
  addBenchKernelsOptions(kernels).action(async (raw: unknown) => {
    const options = parseBenchKernelsOptions(raw);
    const device = await createDevice({ adapter: options.device, softwareAdapter, onNotice });
    try {
      const result = await benchAttention(device);
      io.out(options.json ? `${JSON.stringify(result, undefined, 2)}\n` : renderBench(result));
    } finally {
      device.dispose();
    }
  });

  const model = bench
    .command("model")
    .description("Time and memory of a real configuration, on random weights: no checkpoint is needed");
  addBenchModelOptions(model).action(async (raw: unknown) => {
    const options = parseBenchModelOptions(raw);
    // Both kinds of memory are counted from before the device exists; which one counts is known afterwards.
    using driver = openDriverProbe();
    using resident = openResidentProbe();
    const device = await createDevice({
      adapter: options.device,
      softwareAdapter,
      onNotice,
      math: options.math,
      ...(options.profile ? { profile: true } : {}),
    });
    const meter = new ProgressMeter({ write: io.redraw, isTerminal: io.isTerminal });
    try {
      const result = await runBenchModel({
        device,
        probe: device.info.hardware === "software" ? resident : driver,
        options,
        config: lvsaConfigOf(options),
        onProgress: (line) => meter.show(line),
      });
      meter.clear();
      io.out(options.json ? `${JSON.stringify(result, undefined, 2)}\n` : renderBenchModel(result));
    } finally {
      meter.clear();
      device.dispose();
    }
  });
}
