/** Where a command writes. Tests hand in their own. */
import { printable } from "@lvsa/runtime";

export interface CommandIo {
  /** Results and log lines. */
  readonly out: (text: string) => void;
  /** Notices and errors. */
  readonly err: (text: string) => void;
  /** Progress, beside `err`: the only text that may move the cursor. */
  readonly redraw: (text: string) => void;
  /** Whether `err` and `redraw` are a terminal, where one line can be redrawn. */
  readonly isTerminal: boolean;
}

/**
 * The process's own streams. Prompts, paths and what a stranger's checkpoint names things are in nearly every text,
 * so that all texts are made printable here. In JSON the escapes mean the same characters.
 */
export function processIo(): CommandIo {
  return {
    out: (text) => void process.stdout.write(printable(text)),
    err: (text) => void process.stderr.write(printable(text)),
    redraw: (text) => void process.stderr.write(text),
    isTerminal: process.stderr.isTTY === true,
  };
}
