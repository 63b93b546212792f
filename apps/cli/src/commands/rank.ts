/** `lvsa rank`: what a run on several devices starts itself with. Not for people. */
import type { Command } from "commander";
import { createReporter } from "../generate/reporter.js";
import type { CommandIo } from "../io.js";
import { runRank } from "../ranks/run-rank.js";

export function rankCommand(program: Command, io: CommandIo): void {
  program
    .command("rank <address> <rank>", { hidden: true })
    .description("One rank of a generation, which another process leads")
    .action(async (address: string, rank: string) => {
      using reporter = createReporter(io, { json: false, quiet: true });
      // A terminal's Ctrl-C reaches all processes; rank 0 says when it is over.
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2"] as const) process.on(signal, () => {});
      await runRank(address, Number(rank), reporter);
    });
}
