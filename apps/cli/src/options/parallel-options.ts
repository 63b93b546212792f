/** How a generation is spread over several devices of this machine. Names as in vLLM-Omni and Megatron. */
import type { Command } from "commander";
import * as z from "zod";
import { wholeNumber } from "./parse-options.js";

export const parallelFields = {
  cfgParallelSize: wholeNumber(1)
    .refine((size) => size <= 2, "expected 1 or 2")
    .default(1),
  contextParallelSize: wholeNumber(1).default(1),
  devices: z
    .string()
    .transform((text) => text.split(",").map((name) => name.trim()))
    .refine((names) => names.every((name) => name.length > 0), "expected names with commas between them")
    .optional(),
};

export interface ParallelFields {
  readonly cfgParallelSize: number;
  readonly contextParallelSize: number;
  readonly devices?: readonly string[] | undefined;
}

export function worldSize({ cfgParallelSize, contextParallelSize }: ParallelFields): number {
  return cfgParallelSize * contextParallelSize;
}

/** One device for each rank. */
export function refuseDevices(
  options: ParallelFields & { readonly device: string },
  context: z.RefinementCtx,
): void {
  const { devices } = options;
  if (!devices) return;
  const refuse = (message: string) => context.addIssue({ code: "custom", path: ["devices"], message });
  const ranks = worldSize(options);
  if (ranks === 1) refuse("is for --cfg-parallel-size or --context-parallel-size; one device is --device");
  else if (devices.length !== ranks) refuse(`names ${devices.length} devices for ${ranks} ranks`);
  else if (options.device !== "auto") refuse("and --device exclude each other");
}

export function addContextParallelOption(command: Command): Command {
  return command.option(
    "--context-parallel-size <ranks>",
    "processes that share the clip's latent frames, each with a device of its own (default: 1)",
  );
}

export function addParallelOptions(command: Command): Command {
  command.option(
    "--cfg-parallel-size <ranks>",
    "2: guidance's two passes run at the same time, in a process each (default: 1)",
  );
  return addContextParallelOption(command).option(
    "--devices <names>",
    "with commas: what --device takes, for each rank (default: equal cards, else --device for all)",
  );
}
