/** `--lora file[:weight]`, once for each file. */
import type { Command } from "commander";
import * as z from "zod";

export interface LoraArgument {
  readonly path: string;
  readonly weight: number;
}

const WEIGHT = /^(.+):([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)$/s;

/** What stands behind the last colon is a weight where it is a number, else part of the path. */
export const loraArgument = z
  .string()
  .min(1, "expected a file")
  .transform((text): LoraArgument => {
    const [, path, weight] = WEIGHT.exec(text) ?? [];
    return path === undefined ? { path: text, weight: 1 } : { path, weight: Number(weight) };
  })
  .refine(({ weight }) => Number.isFinite(weight), "expected a finite weight");

export function addLoraOptions(command: Command): Command {
  const collect = (value: string, before: readonly string[] = []) => [...before, value];
  return command
    .option(
      "--lora <file[:weight]>",
      "LoRA to add to the transformer, may be repeated (of two transformers: the one for high noise)",
      collect,
    )
    .option(
      "--lora-2 <file[:weight]>",
      "LoRA for the second transformer, where there are two; may be repeated",
      collect,
    );
}
