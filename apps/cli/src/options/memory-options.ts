/** What GPU memory a generation may take, as `generate` and `plan` have it. */
import type { Command } from "commander";
import * as z from "zod";
import { byteSize } from "./parse-options.js";

export const memoryFields = {
  memoryBudget: byteSize().optional(),
  /** Undefined: where memory asks for it. */
  offload: z.boolean().optional(),
};

export function addMemoryOptions(command: Command): Command {
  return command
    .option(
      "--memory-budget <size>",
      "GPU memory that may be used, e.g. 8GiB or 500MB (default: the device's, where it is known)",
    )
    .option(
      "--offload",
      "run the transformer in the memory of two blocks, the others wait in the file (default: where memory asks for it)",
    )
    .option("--no-offload", "keep all blocks on the GPU");
}
