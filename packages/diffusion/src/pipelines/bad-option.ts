/** Options that are wrong. */
import { UsageError } from "@lvsa/runtime";

export function badOption(message: string, fix: string): UsageError {
  return new UsageError("BAD_OPTION", message, { fix });
}
