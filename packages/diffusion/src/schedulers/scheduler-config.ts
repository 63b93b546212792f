/** Reading `scheduler_config.json` with errors that name the key. A key that is not there has the default of diffusers' class. */
import { ConfigError } from "@lvsa/runtime";
import * as z from "zod";

/** Parses with `schema`, turning the first problem into a `ConfigError`. */
export function parseSchedulerConfig<T>(schema: z.ZodType<T>, config: unknown, className: string): T {
  const result = schema.safeParse(config);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const key = issue?.path.join(".") || "(the file)";
  throw new ConfigError(
    "SCHEDULER_CONFIG_INVALID",
    `${className}: "${key}" ${issue?.message ?? "is not valid"}`,
    {
      where: "scheduler_config.json",
      fix: "Compare the file with the checkpoint's original.",
      cause: result.error,
    },
  );
}

/** Keys that diffusers' classes take and that change nothing here: they serve what is refused, or nothing at all. */
const WITHOUT_EFFECT = [
  ...["dynamic_thresholding_ratio", "sample_max_value", "clip_sample", "clip_sample_range"],
  ...["base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len", "upscale_mode"],
];

/** Keys of a configuration that its class does not know, and so leaves alone. */
export function unknownKeys(schema: z.ZodObject, config: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(config).filter(
    (key) => !key.startsWith("_") && !Object.hasOwn(schema.shape, key) && !WITHOUT_EFFECT.includes(key),
  );
}

/** Throws for the first `[condition, option]` whose condition holds: an option that is not implemented. */
export function rejectOptions(className: string, options: readonly (readonly [boolean, string])[]): void {
  const found = options.find(([condition]) => condition);
  if (found)
    throw new ConfigError("SCHEDULER_OPTION_UNSUPPORTED", `${className} does not support ${found[1]}`, {
      where: "scheduler_config.json",
      fix: "Use the scheduler configuration that the checkpoint was published with.",
    });
}

/** Of a shift that follows from a number which only some pipelines compute. */
export const NEEDS_MU_FIX =
  "Pass mu to setTimesteps; a checkpoint whose pipeline knows none needs use_dynamic_shifting: false in its scheduler_config.json.";

/** A key that published files leave out or set to null when it has its default. */
export function optional<T extends z.ZodType>(type: T, fallback: z.output<T>) {
  return type.nullish().transform((value): z.output<T> => (value ?? fallback) as z.output<T>);
}

export const sigmaRange = z.number().positive().nullish();
/** Published schedulers have 1000; the limit keeps tables of noise levels small whatever the file says. */
export const trainTimesteps = z.number().int().min(1).max(100_000);
/** Levels are stretched to end at this one; 0 and null leave them as they are. */
export const shiftTerminal = z.number().min(0).lt(1).nullish();
