/** `lvsa pause` and `lvsa cancel`: end a run of another terminal, with or without what it has computed. */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { hostname } from "node:os";
import { resolve } from "node:path";
import type { Command } from "commander";
import { UsageError } from "../exit-codes.js";
import { lockOwner } from "../generate/output-lock.js";
import type { CommandIo } from "../io.js";
import { shellWord } from "../output/shell-word.js";

/** How long a run may take to stop: it ends the block of the transformer that it is in. */
const PATIENCE_MS = 600_000;

export function stopCommands(program: Command, io: CommandIo): void {
  program
    .command("pause")
    .description("Stop a run of another terminal, and keep what it has computed")
    .argument("<output>", "the output that it writes")
    .action(async (given: string) => {
      const files = await stop(given, "SIGUSR2");
      const found = files.find((file) => existsSync(file));
      io.out(
        found
          ? `Stopped. Go on with: lvsa resume ${shellWord(found)}\n`
          : "Stopped before its first step was done.\n",
      );
    });
  program
    .command("cancel")
    .description("Stop a run of another terminal, and keep nothing")
    .argument("<output>", "the output that it writes")
    .action(async (given: string) => {
      for (const file of await stop(given, "SIGTERM")) await rm(file, { force: true });
      io.out("Stopped; nothing is kept.\n");
    });
}

/** Returns the files that the run may have left. @throws UsageError where nobody writes that output */
async function stop(given: string, signal: NodeJS.Signals): Promise<string[]> {
  const output = resolve(given.replace(/\.(state|latents)\.safetensors$/, ""));
  const owner = await lockOwner(output);
  if (!owner) throw new UsageError(`no run writes ${output}`, "Give the --output of a run that is at work.");
  if (owner.host !== hostname()) throw new UsageError(`the run is on ${owner.host}`, "Stop it there.");
  process.kill(owner.pid, signal);
  const until = performance.now() + PATIENCE_MS;
  while ((await lockOwner(output))?.id === owner.id) {
    if (performance.now() > until)
      throw new UsageError(`process ${owner.pid} does not stop`, `kill -9 ${owner.pid}`);
    await new Promise((done) => setTimeout(done, 50));
  }
  return ["state", "latents"].map((kind) => `${output}.${kind}.safetensors`);
}
