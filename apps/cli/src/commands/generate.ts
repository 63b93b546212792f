/** `lvsa generate`: a prompt and a checkpoint become a video. */
import type { Command } from "commander";
import { exitCodeOf } from "../exit-codes.js";
import { listenForInterrupt } from "../generate/interrupt.js";
import { createReporter } from "../generate/reporter.js";
import { runGenerate } from "../generate/run.js";
import type { CommandIo } from "../io.js";
import { addGenerateOptions, parseGenerateOptions } from "../options/generate-options.js";

export function generateCommand(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const command = program.command("generate").description("Generate a video from a prompt");
  addGenerateOptions(command).action(async (raw: Record<string, unknown>) => {
    const options = parseGenerateOptions(raw);
    const reporter = createReporter(io, options);
    using interrupt = listenForInterrupt((line) => reporter.notice(line));
    try {
      await runGenerate(options, reporter, interrupt.signal);
    } catch (error) {
      reporter.error(error);
      exit(exitCodeOf(error));
    }
  });
}
