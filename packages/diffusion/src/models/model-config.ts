/** Reading configuration files: loose about unknown keys, exact about the ones that matter. */
import { ConfigError } from "@lvsa/runtime";
import type * as z from "zod";

/**
 * @param where the file, for the error
 * @throws ConfigError `BAD_CONFIG` that names every key that does not fit
 */
export function parseConfig<Schema extends z.ZodType>(
  schema: Schema,
  config: unknown,
  className: string,
  where?: string,
): z.infer<Schema> {
  const parsed = schema.safeParse(config);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    (issue) => `${issue.path.map(String).join(".") || "(the file)"}: ${issue.message}`,
  );
  throw new ConfigError(
    "BAD_CONFIG",
    `the configuration of ${className} does not fit: ${problems.join("; ")}`,
    {
      fix: "Take the file from the repository that the weights come from.",
      ...(where === undefined ? {} : { where }),
    },
  );
}
