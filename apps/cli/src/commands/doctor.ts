/** `lvsa doctor`: what this machine has, what `lvsa` will use, what is missing and how to get it. */
import type { Command } from "commander";
import { examine, renderExamination } from "../doctor/examine.js";
import { EXIT } from "../exit-codes.js";
import type { CommandIo } from "../io.js";
import { addDoctorOptions, parseDoctorOptions } from "../options/other-options.js";

export function doctorCommand(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const command = program
    .command("doctor")
    .description("Check this machine: drivers, limits, optional packages");
  addDoctorOptions(command).action(async (raw: Record<string, unknown>) => {
    const { json } = parseDoctorOptions(raw);
    const found = await examine(io.lookForDrivers);
    io.out(json ? `${JSON.stringify(found, undefined, 2)}\n` : renderExamination(found));
    if (!found.ok) exit(EXIT.failed);
  });
}
