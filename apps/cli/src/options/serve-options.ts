/** Options of `lvsa serve` and `lvsa worker`. */
import type { Command } from "commander";
import * as z from "zod";
import { addParallelOptions, parallelFields, refuseDevices } from "./parallel-options.js";
import { decimalNumber, parseOptions, wholeNumber } from "./parse-options.js";

const workerFields = {
  model: z.array(z.string().min(1, "expected name=folder")).default([]),
  workspace: z.string().min(1, "expected a folder").default("lvsa-jobs"),
  queue: z.string().min(1, "expected an address").optional(),
  workers: wholeNumber(0, 64).optional(),
  timeLimit: decimalNumber(0, "above").optional(),
  lease: decimalNumber(0, "above").optional(),
  device: z.string().min(1, "expected a name").default("auto"),
  ...parallelFields,
  preview: z.boolean().default(false),
};
const workerSchema = z.object(workerFields).superRefine(refuseDevices);
export type WorkerCommandOptions = z.infer<typeof workerSchema>;
/** @throws UsageError */
export const parseWorkerOptions = (raw: unknown): WorkerCommandOptions => parseOptions(workerSchema, raw);

const serveSchema = z
  .object({
    ...workerFields,
    host: z.string().min(1, "expected an address").optional(),
    port: wholeNumber(0, 65_535).optional(),
  })
  .superRefine(refuseDevices);
export type ServeCommandOptions = z.infer<typeof serveSchema>;
/** @throws UsageError */
export const parseServeOptions = (raw: unknown): ServeCommandOptions => parseOptions(serveSchema, raw);

const collect = (value: string, before: string[] = []) => [...before, value];

export function addServeOptions(command: Command): Command {
  return addCommonOptions(
    command
      .option("--host <address>", "where to listen (default: 127.0.0.1)")
      .option("--port <number>", "0 for any that is free (default: 8787)"),
  ).addHelpText(
    "after",
    `
API keys: LVSA_API_KEYS, with commas between them. Without any only this machine's own programs are answered.

Examples:
  lvsa serve
  lvsa serve --model wan=./Wan2.1-T2V-1.3B-Diffusers --workspace ./jobs
  lvsa serve --model wan=./Wan2.1-T2V-1.3B-Diffusers --cfg-parallel-size 2 --preview
  LVSA_API_KEYS=secret lvsa serve --host 0.0.0.0 --queue redis://10.0.0.5 --workspace /shared/jobs --workers 0`,
  );
}

export function addWorkerOptions(command: Command): Command {
  return addCommonOptions(command).addHelpText(
    "after",
    `
Example:
  lvsa worker --model wan=./Wan2.1-T2V-1.3B-Diffusers --queue redis://10.0.0.5 --workspace /shared/jobs`,
  );
}

function addCommonOptions(command: Command): Command {
  command
    .option("--model <name=folder>", "a checkpoint that clients may use; repeat for several", collect)
    .option(
      "--workspace <folder>",
      "jobs and their files; shared by all machines of a queue (default: lvsa-jobs)",
    )
    .option("--queue <address>", "redis://… or postgres://… (default: in the workspace, for one server)")
    .option("--workers <number>", "videos at once on this machine (default: 1)")
    .option("--time-limit <seconds>", "a job that takes longer fails (default: none)")
    .option("--lease <seconds>", "a worker that is silent for so long has lost its job (default: 60)")
    .option("--preview", "clients can look at a video that is in progress, after each step")
    .option("--device <name>", "as for lvsa generate");
  return addParallelOptions(command);
}
