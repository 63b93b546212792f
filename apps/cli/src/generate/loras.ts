/** `--lora`, `--lora-2`: opens the files. */
import type { LoraOptions } from "@lvsa/diffusion";
import { fileSource } from "@lvsa/runtime/node";
import type { GenerateCommandOptions } from "../options/generate-options.js";
import type { LoraArgument } from "../options/lora-options.js";

/** @throws WeightsError for a file that is not there; then none is open */
export async function openLoras({
  lora = [],
  lora2 = [],
}: Pick<GenerateCommandOptions, "lora" | "lora2">): Promise<LoraOptions[]> {
  const opened: LoraOptions[] = [];
  const open = async ({ path, weight }: LoraArgument, component?: string) => {
    opened.push({ file: await fileSource(path), weight, component });
  };
  try {
    for (const one of lora) await open(one);
    for (const one of lora2) await open(one, "transformer_2");
    return opened;
  } catch (error) {
    await Promise.allSettled(opened.map(({ file }) => file.close()));
    throw error;
  }
}
