/** What all commands that work for long have in common: a voice, signals, and the end. */
import { exitCodeOf } from "../exit-codes.js";
import { listenForInterrupt } from "../generate/interrupt.js";
import { createReporter, type RunReporter } from "../generate/reporter.js";
import type { CommandIo } from "../io.js";

export async function withReporter(
  io: CommandIo,
  voice: { readonly json: boolean; readonly quiet: boolean },
  exit: (code: number) => void,
  body: (reporter: RunReporter, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  using reporter = createReporter(io, voice);
  using interrupt = listenForInterrupt((line) => reporter.notice(line));
  try {
    await body(reporter, interrupt.signal);
  } catch (error) {
    reporter.error(error);
    exit(exitCodeOf(error));
  }
}
