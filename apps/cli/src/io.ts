/** Where a command writes. Tests hand in their own. */

export interface CommandIo {
  /** Results and log lines. */
  readonly out: (text: string) => void;
  /** Progress, notices and errors. */
  readonly err: (text: string) => void;
  /** Whether `err` is a terminal, where one line can be redrawn. */
  readonly isTerminal: boolean;
}

export function processIo(): CommandIo {
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    isTerminal: process.stderr.isTTY === true,
  };
}
