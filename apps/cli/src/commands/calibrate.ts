/** `lvsa calibrate`: measures a model's ratios for MagCache. */
import type { Command } from "commander";
import { runCalibrate } from "../generate/run-calibrate.js";
import type { CommandIo } from "../io.js";
import { addCalibrateOptions, parseCalibrateOptions } from "../options/calibrate-options.js";
import { withReporter } from "./with-reporter.js";

export function calibrateCommand(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const command = program
    .command("calibrate")
    .description("Measure a model's ratios for the step cache MagCache");
  addCalibrateOptions(command).action(async (raw: Record<string, unknown>) => {
    const options = parseCalibrateOptions(raw);
    await withReporter(io, options, exit, (reporter, signal) => runCalibrate(options, reporter, signal));
  });
}
