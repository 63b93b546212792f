/** How the process ends, and what it says then. */
import { UsageError as BadOption, isLvsaError, printable } from "@lvsa/runtime";
import { withFlags } from "./options/generation-flags.js";

export const EXIT = { done: 0, failed: 1, usage: 2, hungUp: 129, interrupted: 130, terminated: 143 } as const;

/** The command line itself is wrong: exit code 2. */
export class UsageError extends BadOption {
  constructor(message: string, fix?: string) {
    super("BAD_OPTION", message, fix === undefined ? {} : { fix });
  }
}

/** The reason of an abort that a signal of the system asked for. */
export class Interruption extends Error {
  readonly exitCode: number;
  /** What was computed is to be kept, also of a short run. */
  readonly isPause: boolean;

  constructor(signal: string, exitCode: number) {
    super(`interrupted by ${signal}`);
    this.name = "Interruption";
    this.exitCode = exitCode;
    this.isPause = signal === "SIGUSR2";
  }
}

/** One rule: what was asked or given is wrong usage, what a run made of it is a failure. The error says itself which it is. */
const EXIT_OF = { usage: EXIT.usage, input: EXIT.usage, run: EXIT.failed } as const;

export function exitCodeOf(error: unknown): number {
  if (!isLvsaError(error)) return isBadPath(error) ? EXIT.usage : EXIT.failed;
  if (error.code === "ABORTED") {
    return error.cause instanceof Interruption ? error.cause.exitCode : EXIT.interrupted;
  }
  return EXIT_OF[error.fault];
}

/** Errors of the file system about the path itself, not about the disk. */
function isBadPath(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return /^(ENOENT|ENOTDIR|EISDIR|EACCES|EPERM|EROFS|EEXIST|ELOOP|ENAMETOOLONG|EXDEV)$/.test(code ?? "");
}

/** Message and fix for people; unexpected errors keep their stack. */
export function describeError(error: unknown): string {
  if (isLvsaError(error)) return withFlags(error.describe());
  // A file system error says enough in one line.
  if (error instanceof Error && typeof (error as NodeJS.ErrnoException).code === "string")
    return printable(error.message);
  return printable(error instanceof Error ? (error.stack ?? error.message) : String(error));
}
