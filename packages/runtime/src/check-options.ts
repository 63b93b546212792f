/** Options of a call, checked by their schema before anything is done: what is misspelt or of another kind is said, never ignored. */
import type * as z from "zod";
import { badOptions, unknownOption } from "./option-kinds.js";

/**
 * @param what whose options they are, for the error
 * @throws UsageError `BAD_OPTION` that names every option that is unknown, with the name that was probably meant, or of another kind
 */
export function checkOptions(schema: z.ZodObject, options: unknown, what: string): void {
  const parsed = schema.safeParse(options);
  if (parsed.success) return;
  const names = Object.keys(schema.shape);
  const problems = parsed.error.issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) =>
          unknownOption([...issue.path, key].join("."), issue.path.length === 0 ? names : []),
        )
      : [`${issue.path.join(".") || "options"}: ${issue.message}`],
  );
  throw badOptions(problems, what, names);
}
