/** `lvsa bench kernels`: sparse against dense attention in one run. */

import { LvsaError } from "@lvsa/runtime";
import type { Command } from "commander";
import type { CommandIo } from "../io.js";
import { addBenchOptions, parseBenchOptions } from "../options/other-options.js";

export function benchCommand(program: Command, io: CommandIo): void {
  const command = program.command("bench").description("Measure kernels on this machine");
  addBenchOptions(command).action(async (what: string, raw: Record<string, unknown>) => {
    const options = parseBenchOptions({ ...raw, what });
    io.err(`bench ${options.what}\n`);
    throw new LvsaError("NOT_IMPLEMENTED", "not there yet");
  });
}
