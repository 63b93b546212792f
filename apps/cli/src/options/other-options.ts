/** Options of `lvsa inspect` and `lvsa doctor`. */
import type { Command } from "commander";
import * as z from "zod";
import { addComponentOptions, componentFields, requireModel } from "./model-options.js";
import { parseOptions } from "./parse-options.js";

const inspectSchema = z
  .object({
    model: z.string().min(1, "expected a folder, a file or a known model").optional(),
    ...componentFields,
    files: z.boolean().default(false),
    json: z.boolean().default(false),
  })
  .superRefine(requireModel);
export type InspectCommandOptions = z.infer<typeof inspectSchema>;
/** @throws UsageError */
export const parseInspectOptions = (raw: unknown): InspectCommandOptions => parseOptions(inspectSchema, raw);

export function addInspectOptions(command: Command): Command {
  return addComponentOptions(
    command.argument("[model]", "checkpoint folder or file, or a model known by name"),
  )
    .option("--files", "list every weights file")
    .option("--json", "one JSON object")
    .addHelpText(
      "after",
      `
Examples:
  lvsa inspect ./Wan2.1-T2V-1.3B-Diffusers
  lvsa inspect wan2.1-t2v-14b-Q4_K_M.gguf
  lvsa inspect wan2.2-ti2v-5b --json`,
    );
}

const doctorSchema = z.object({ json: z.boolean().default(false) });
export type DoctorCommandOptions = z.infer<typeof doctorSchema>;
/** @throws UsageError */
export const parseDoctorOptions = (raw: unknown): DoctorCommandOptions => parseOptions(doctorSchema, raw);

export function addDoctorOptions(command: Command): Command {
  return command.option("--json", "one JSON object").addHelpText(
    "after",
    `
Example:
  lvsa doctor --json`,
  );
}
