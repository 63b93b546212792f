/** Options of a call, checked by their schema before anything is done: what is misspelt or of another kind is said, never ignored. */
import type * as z from "zod";
import { UsageError } from "./errors.js";
import { nearestName } from "./nearest-name.js";

/**
 * @param what whose options they are, for the error
 * @throws UsageError `BAD_OPTION` that names every option that is unknown, with the name that was probably meant, or of another kind
 */
export function checkOptions(schema: z.ZodObject, options: unknown, what: string): void {
  const parsed = schema.safeParse(options);
  if (parsed.success) return;
  const names = Object.keys(schema.shape);
  const unknown = (key: string, path: readonly PropertyKey[]) => {
    const nearest = path.length === 0 ? nearestName(key, names) : undefined;
    return `unknown option ${[...path, key].join(".")}${nearest ? `; did you mean ${nearest}?` : ""}`;
  };
  const problems = parsed.error.issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => unknown(key, issue.path))
      : [`${issue.path.join(".") || "options"}: ${issue.message}`],
  );
  throw new UsageError("BAD_OPTION", problems.join("; "), {
    fix: `Options of ${what}: ${names.join(", ")}.`,
  });
}
