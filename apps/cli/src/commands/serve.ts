/** `lvsa serve` and `lvsa worker`: the videos API on this machine, and further machines that work for it. */
import { realpathSync } from "node:fs";
import { importOptional } from "@lvsa/runtime/node-import";
import type { WorkOptions } from "@lvsa/server";
import type { Command } from "commander";
import { BUNDLED_MODEL } from "../bundled-model.js";
import { UsageError } from "../exit-codes.js";
import { listenForInterrupt } from "../generate/interrupt.js";
import type { CommandIo } from "../io.js";
import {
  addServeOptions,
  addWorkerOptions,
  parseServeOptions,
  parseWorkerOptions,
  type WorkerCommandOptions,
} from "../options/serve-options.js";

export function serveCommand(program: Command, io: CommandIo): void {
  const serve = program.command("serve").description("Serve the OpenAI-style videos API");
  addServeOptions(serve).action(async (raw: Record<string, unknown>) => {
    const { host, port, ...options } = parseServeOptions(raw);
    const server = await loadServer();
    using interrupt = listenForInterrupt(
      (line) => io.err(`${line}\n`),
      "Shutting down; press Ctrl-C again to stop at once.",
    );
    // In the environment, where other users of the machine do not see them as they see arguments.
    const keys = (process.env.LVSA_API_KEYS ?? "").split(",").flatMap((key) => key.trim() || []);
    const running = await server.serve({
      ...workOptions(options, io, interrupt.signal),
      keys,
      ...(host === undefined ? {} : { host }),
      ...(port === undefined ? {} : { port }),
    });
    io.out(`${running.url}\n`);
    await running.closed;
  });
  const worker = program.command("worker").description("Work for a server that shares a queue");
  addWorkerOptions(worker).action(async (raw: Record<string, unknown>) => {
    const options = parseWorkerOptions(raw);
    const server = await loadServer();
    using interrupt = listenForInterrupt(
      (line) => io.err(`${line}\n`),
      "Shutting down; press Ctrl-C again to stop at once.",
    );
    await server.work(workOptions(options, io, interrupt.signal));
  });
}

/** It is a package of its own: most people generate videos and serve none. */
async function loadServer(): Promise<typeof import("@lvsa/server")> {
  const name = "@lvsa/server";
  const found = await importOptional<typeof import("@lvsa/server")>(name, () => import("@lvsa/server"));
  if (found.module) return found.module;
  throw new UsageError(`${name} is not installed`, `npm install ${name}`);
}

function workOptions(options: WorkerCommandOptions, io: CommandIo, signal: AbortSignal): WorkOptions {
  const models = new Map(options.model.map((text) => modelOf(text)));
  if (models.size === 0) models.set("demo", BUNDLED_MODEL);
  const { queue, workers, timeLimit, lease, workspace } = options;
  return {
    models,
    workspace,
    // The same program that runs now.
    command: [process.execPath, ...process.execArgv, realpathSync(process.argv[1] ?? "")],
    ...processArguments(options),
    ...(queue === undefined ? {} : { queue }),
    ...(workers === undefined ? {} : { workers }),
    ...(timeLimit === undefined ? {} : { timeLimitMs: timeLimit * 1000 }),
    ...(lease === undefined ? {} : { leaseMs: lease * 1000 }),
    signal,
    log: { write: (line) => io.err(line) },
  };
}

/** What a run is begun with stays with it; devices are this machine's. */
export function processArguments(
  options: Pick<
    WorkerCommandOptions,
    "device" | "devices" | "cfgParallelSize" | "contextParallelSize" | "preview"
  >,
): { readonly deviceArguments: readonly string[]; readonly generateArguments: readonly string[] } {
  const { device, devices, cfgParallelSize, contextParallelSize, preview } = options;
  const size = (flag: string, ranks: number) => (ranks > 1 ? [`--${flag}=${ranks}`] : []);
  return {
    deviceArguments: [
      ...(device === "auto" ? [] : [`--device=${device}`]),
      ...(devices ? [`--devices=${devices.join(",")}`] : []),
    ],
    generateArguments: [
      ...size("cfg-parallel-size", cfgParallelSize),
      ...size("context-parallel-size", contextParallelSize),
      ...(preview ? ["--preview=png"] : []),
    ],
  };
}

/** `name=folder`, or a folder that gives its own name. */
function modelOf(text: string): [string, string] {
  const at = text.indexOf("=");
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  const name = text
    .replace(/[\\/]+$/, "")
    .split(/[\\/]/)
    .at(-1);
  if (!name || at === 0) throw new UsageError(`--model: expected name=folder, got "${text}"`);
  return [name, text];
}
