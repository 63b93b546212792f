/** `lvsa generate`: a prompt and a checkpoint become a video. */
import type { Command } from "commander";
import { runGenerate } from "../generate/run.js";
import type { GivenOptions } from "../generate/run-record.js";
import type { CommandIo } from "../io.js";
import { addGenerateOptions, parseGenerateOptions } from "../options/generate-options.js";
import { withReporter } from "./with-reporter.js";

export function generateCommand(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const command = program.command("generate").description("Generate a video from a prompt");
  addGenerateOptions(command).action(async (raw: GivenOptions) => {
    const options = parseGenerateOptions(raw);
    await withReporter(io, options, exit, (reporter, signal) =>
      runGenerate({ options, given: raw }, reporter, signal),
    );
  });
}
