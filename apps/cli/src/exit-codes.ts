/** How the process ends, and which errors mean that the command line was wrong. */
import { isLvsaError } from "@lvsa/runtime";

export const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** The command line itself is wrong: exit code 2. */
export class UsageError extends Error {
  readonly fix: string | undefined;

  constructor(message: string, fix?: string) {
    super(message);
    this.name = "UsageError";
    this.fix = fix;
  }
}

/** Errors of the packages that say: this option's value does not fit. Other errors are failures. */
const USAGE_CODES: ReadonlySet<string> = new Set([
  "BAD_FRAME_COUNT",
  "BAD_SIZE",
  "INVALID_STEPS",
  "INVALID_LVSA_CONFIG",
  "INVALID_VARIABLE",
  "INVALID_RIFLEX_FREQUENCY",
  "INVALID_RIFLEX_SCALE",
  "RIFLEX_UNSUPPORTED",
  "LATENTS_SHAPE",
  "UNKNOWN_MODEL",
  "VIDEO_FORMAT",
  "VIDEO_FOLDER",
]);

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  if (isLvsaError(error)) {
    if (error.code === "ABORTED") return EXIT.interrupted;
    return USAGE_CODES.has(error.code) ? EXIT.usage : EXIT.failed;
  }
  return EXIT.failed;
}

/** Message and fix for people; unexpected errors keep their stack. */
export function describeError(error: unknown): string {
  if (error instanceof UsageError) return error.fix ? `${error.message}\nFix: ${error.fix}` : error.message;
  if (isLvsaError(error)) return error.describe();
  // A file system error says enough in one line.
  if (error instanceof Error && typeof (error as NodeJS.ErrnoException).code === "string")
    return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
