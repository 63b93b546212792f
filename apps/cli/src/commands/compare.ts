/** `lvsa compare`: dense attention, RIFLEx and LVSA on the same prompts and noise, side by side on one page. */
import type { Command } from "commander";
import { comparisonToJson, renderComparisonText } from "../compare/render-comparison.js";
import { runCompare } from "../compare/run-compare.js";
import { listenForInterrupt } from "../generate/interrupt.js";
import { ProgressMeter } from "../generate/progress-meter.js";
import type { CommandIo } from "../io.js";
import { addCompareOptions, parseCompareOptions } from "../options/compare-options.js";

export function compareCommand(program: Command, io: CommandIo): void {
  const command = program
    .command("compare")
    .description(
      "Dense attention, RIFLEx and LVSA beyond the training length: clips, times and scores on one page",
    );
  addCompareOptions(command).action(async (raw: Record<string, unknown>) => {
    const options = parseCompareOptions(raw);
    const meter = new ProgressMeter({ write: io.redraw, isTerminal: io.isTerminal });
    const notice = (line: string) => {
      meter.clear();
      io.err(`${line}\n`);
    };
    using interrupt = listenForInterrupt(notice);
    try {
      const { lookForDrivers } = io;
      const reporter = { notice, progress: (line: string) => meter.show(line), lookForDrivers };
      const { comparison, output } = await runCompare(options, reporter, interrupt.signal);
      meter.clear();
      if (options.json) io.out(`${JSON.stringify(comparisonToJson(comparison), undefined, 2)}\n`);
      else io.out(`${renderComparisonText(comparison)}\n${output}: ${comparison.results.length} clips\n`);
    } finally {
      meter.clear();
    }
  });
}
