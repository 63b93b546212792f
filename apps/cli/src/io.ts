/** Where a command writes. Tests hand in their own. */
import { printable } from "@lvsa/runtime";
import type { LookForDrivers } from "@lvsa/runtime/node";
import { withoutDawnLines } from "./native-lines.js";
import { TolerantOutput } from "./streams.js";

export interface CommandIo {
  /** Results and log lines. */
  readonly out: (text: string) => void;
  /** Events of which some may be left out where nobody reads. Default: as `out`. */
  readonly progress?: (text: string) => void;
  /** Notices and errors. */
  readonly err: (text: string) => void;
  /** Progress, beside `err`: the only text that may move the cursor. */
  readonly redraw: (text: string) => void;
  /** Whether `err` and `redraw` are a terminal, where one line can be redrawn. */
  readonly isTerminal: boolean;
  /** Does what it is given, without what drivers say by themselves meanwhile. Default: as it is. */
  readonly lookForDrivers?: LookForDrivers;
  /** Characters of a terminal's line, which may change. */
  readonly columns?: () => number | undefined;
}

export interface ProcessIo extends CommandIo {
  readonly stdout: TolerantOutput;
  readonly stderr: TolerantOutput;
}

/**
 * The process's own streams. Prompts, paths and what a stranger's checkpoint names things are in nearly every text,
 * so that all texts are made printable here. In JSON the escapes mean the same characters.
 */
export function processIo(): ProcessIo {
  const stdout = new TolerantOutput(process.stdout);
  const stderr = new TolerantOutput(process.stderr);
  const err = (text: string) => stderr.write(printable(text));
  return {
    ...{ stdout, stderr, err },
    out: (text) => stdout.write(printable(text)),
    progress: (text) => stdout.write(printable(text), "progress"),
    redraw: (text) => stderr.write(text, "progress"),
    isTerminal: process.stderr.isTTY === true,
    lookForDrivers: (look) => withoutDawnLines(look, err, !stderr.hasWaited),
    columns: () => process.stderr.columns,
  };
}
