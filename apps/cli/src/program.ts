/** The `lvsa` program: commands, and what their ends mean for the exit code. */
import { Command, CommanderError } from "commander";
import { benchCommand } from "./commands/bench.js";
import { calibrateCommand } from "./commands/calibrate.js";
import { compareCommand } from "./commands/compare.js";
import { decodeCommand } from "./commands/decode.js";
import { doctorCommand } from "./commands/doctor.js";
import { envCommand } from "./commands/env.js";
import { generateCommand } from "./commands/generate.js";
import { inspectCommand } from "./commands/inspect.js";
import { planCommand } from "./commands/plan.js";
import { pullCommand } from "./commands/pull.js";
import { quantizeCommand } from "./commands/quantize.js";
import { rankCommand } from "./commands/rank.js";
import { resumeCommand } from "./commands/resume.js";
import { scoreCommand } from "./commands/score.js";
import { serveCommand } from "./commands/serve.js";
import { stopCommands } from "./commands/stop.js";
import { describeError, EXIT, exitCodeOf } from "./exit-codes.js";
import type { CommandIo } from "./io.js";
import { VERSION } from "./version.js";

/** All commands with their options. `exit` hears of an end that is no error thrown. */
export function createProgram(given: CommandIo, exit: (code: number) => void): Command {
  const io: CommandIo = {
    ...given,
    lookForDrivers: (look) =>
      given.lookForDrivers && !program.opts<{ verbose?: boolean }>().verbose
        ? given.lookForDrivers(look)
        : look(),
  };
  const program = new Command("lvsa")
    .description(
      "Long videos from text on any GPU: diffusion models with Long-Video Sparse Attention on WebGPU",
    )
    .version(VERSION)
    .option("--verbose", "with any command: show also what drivers say by themselves")
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .addHelpText(
      "after",
      `
Exit codes: 0 done, 1 failed, 2 wrong usage (an option, a path, a file or a checkpoint that can not be used),
130 stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.

Examples:
  lvsa generate --prompt "A cat walks in the garden." --output cat.mp4
  lvsa plan wan2.1-t2v-1.3b --num-frames 161
  lvsa generate --help`,
    );
  generateCommand(program, io, exit);
  resumeCommand(program, io, exit);
  rankCommand(program, io);
  decodeCommand(program, io, exit);
  calibrateCommand(program, io, exit);
  stopCommands(program, io);
  planCommand(program, io);
  inspectCommand(program, io, exit);
  scoreCommand(program, io);
  compareCommand(program, io);
  pullCommand(program, io);
  quantizeCommand(program, io);
  doctorCommand(program, io, exit);
  benchCommand(program, io);
  envCommand(program, io, exit);
  serveCommand(program, io);
  return program;
}

/** Runs a command line (without `node` and the script) and returns the exit code. */
export async function runProgram(args: readonly string[], io: CommandIo): Promise<number> {
  let code: number = EXIT.done;
  const program = createProgram(io, (value) => {
    code = value;
  });
  try {
    if (args.length === 0) {
      program.outputHelp();
      return EXIT.usage;
    }
    await program.parseAsync([...args], { from: "user" });
    return code;
  } catch (error) {
    // Commander has said what is wrong already; help and version end with 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    io.err(`error: ${describeError(error)}\n`);
    return exitCodeOf(error);
  }
}
