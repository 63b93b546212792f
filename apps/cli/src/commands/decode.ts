/** `lvsa decode`: latents of an earlier run become a video. */
import type { Command } from "commander";
import { runDecode } from "../generate/run-decode.js";
import type { CommandIo } from "../io.js";
import { addDecodeOptions, parseDecodeOptions } from "../options/run-file-options.js";
import { withReporter } from "./with-reporter.js";

export function decodeCommand(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const command = program.command("decode").description("Decode the latents of an earlier run");
  addDecodeOptions(command).action(async (file: string, raw: Record<string, unknown>) => {
    const options = parseDecodeOptions({ ...raw, file });
    await withReporter(io, options, exit, (reporter, signal) => runDecode(options, reporter, signal));
  });
}
