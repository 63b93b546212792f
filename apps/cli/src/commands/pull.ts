/** `lvsa pull`: a repository of the Hub into the Hub's own cache, from where `--model owner/name` takes it. */
import { pullRepository } from "@lvsa/runtime/node";
import type { Command } from "commander";
import * as z from "zod";
import { listenForInterrupt } from "../generate/interrupt.js";
import { ProgressMeter } from "../generate/progress-meter.js";
import type { CommandIo } from "../io.js";
import { parseOptions } from "../options/parse-options.js";
import { formatBytes } from "../output/units.js";

const schema = z.object({
  repository: z.string().min(1, "expected owner/name"),
  include: z.array(z.string().min(1)).optional(),
  exclude: z.array(z.string().min(1)).optional(),
  revision: z.string().min(1, "expected a branch, a tag or a commit").optional(),
});

export function pullCommand(program: Command, io: CommandIo): void {
  program
    .command("pull")
    .description("Download a checkpoint from the Hub into its cache, from where --model takes it")
    .argument("<owner/name>", "repository on the Hub")
    .option("--include <patterns...>", "only these paths; * stands for any characters, ? for one")
    .option("--exclude <patterns...>", "not these paths")
    .option("--revision <name>", "branch, tag or commit (default: main)")
    .addHelpText(
      "after",
      `
The cache is that of huggingface_hub (HF_HUB_CACHE, HF_HOME). HF_TOKEN, HF_ENDPOINT (a mirror) and HF_HUB_OFFLINE
count here too. A download that was stopped goes on where it ended; every file is checked by its hash.
A pattern that fits no file is an error.

Examples:
  lvsa pull Wan-AI/Wan2.1-T2V-1.3B-Diffusers
  lvsa pull Wan-AI/Wan2.1-T2V-1.3B-Diffusers --include "transformer/*" "*.json"
  lvsa generate --model Wan-AI/Wan2.1-T2V-1.3B-Diffusers --prompt "A red fox in the snow."`,
    )
    .action(async (repository: string, raw: Record<string, unknown>) => {
      const { include, exclude, revision } = parseOptions(schema, { ...raw, repository });
      const meter = new ProgressMeter({ write: io.redraw, isTerminal: io.isTerminal });
      using interrupt = listenForInterrupt((line) => io.err(`${line}\n`));
      try {
        const folder = await pullRepository(repository, process.env, {
          ...(include ? { include } : {}),
          ...(exclude ? { exclude } : {}),
          ...(revision === undefined ? {} : { revision }),
          signal: interrupt.signal,
          onProgress: (done, total) => meter.show(`${formatBytes(done)} of ${formatBytes(total)}`),
        });
        meter.clear();
        io.out(`${folder}\n`);
      } finally {
        meter.clear();
      }
    });
}
