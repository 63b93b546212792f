/** Reading `config.json` files: loose about unknown keys, exact about the ones that matter. */
import { ConfigError } from "@lvsa/runtime";
import type * as z from "zod";

/** @throws ConfigError `BAD_CONFIG` that names every field that does not fit */
export function parseConfig<Schema extends z.ZodType>(
  schema: Schema,
  config: unknown,
  className: string,
): z.infer<Schema> {
  const parsed = schema.safeParse(config);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    (issue) => `${issue.path.join(".") || "(file)"}: ${issue.message}`,
  );
  throw new ConfigError(
    "BAD_CONFIG",
    `the config.json of ${className} does not fit: ${problems.join("; ")}`,
    {
      fix: "Check that the checkpoint is complete and in the diffusers format.",
    },
  );
}
