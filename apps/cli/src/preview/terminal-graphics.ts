/** What pictures a terminal can show, by what it says of itself. */
import type { ColourDepth } from "./half-blocks.js";

export type TerminalGraphics = "kitty" | "sixel" | "half-blocks";

type Environment = Readonly<Record<string, string | undefined>>;

/** How long a terminal may take to answer, over a slow line too. */
const PATIENCE_MS = 300;

/** Terminals that draw by the kitty protocol and say who they are. A multiplexer in between does not pass it on. */
export function isKitty({ TERM = "", TERM_PROGRAM = "", KITTY_WINDOW_ID, TMUX }: Environment): boolean {
  if (TMUX !== undefined || /^(screen|tmux)/.test(TERM)) return false;
  return KITTY_WINDOW_ID !== undefined || /kitty|ghostty/.test(TERM) || TERM_PROGRAM === "ghostty";
}

export function colourDepth({ COLORTERM = "" }: Environment): ColourDepth {
  return /^(truecolor|24bit)$/.test(COLORTERM) ? "24-bit" : "256";
}

/** What is used of `process.stdin`. */
export interface TerminalInput {
  readonly isTTY?: boolean;
  readonly isRaw?: boolean;
  setRawMode?(raw: boolean): unknown;
  on(event: "data", listener: (data: Uint8Array) => void): unknown;
  off(event: "data", listener: (data: Uint8Array) => void): unknown;
  resume(): unknown;
  pause(): unknown;
}

/**
 * The best that the terminal has. One that does not name itself is asked for its attributes (DA1, `CSI c`), among which 4
 * is sixel graphics; without an answer in time it has half blocks.
 */
export async function terminalGraphics(
  environment: Environment,
  input: TerminalInput,
  ask: (query: string) => void,
  patienceMs = PATIENCE_MS,
): Promise<TerminalGraphics> {
  if (isKitty(environment)) return "kitty";
  const attributes = await attributesOf(input, ask, patienceMs);
  return attributes.includes(4) ? "sixel" : "half-blocks";
}

async function attributesOf(
  input: TerminalInput,
  ask: (query: string) => void,
  patienceMs: number,
): Promise<number[]> {
  if (!input.isTTY || !input.setRawMode) return [];
  const wasRaw = input.isRaw === true;
  let heard = "";
  let timer: ReturnType<typeof setTimeout> | undefined;
  let listen: ((data: Uint8Array) => void) | undefined;
  try {
    // Else the answer would be echoed, and wait for the end of a line.
    input.setRawMode(true);
    return await new Promise<number[]>((done) => {
      timer = setTimeout(() => done([]), patienceMs);
      listen = (data) => {
        heard += new TextDecoder("latin1").decode(data);
        const found = ANSWER.exec(heard);
        if (found) done(found[1]!.split(";").map(Number));
      };
      input.on("data", listen);
      input.resume();
      ask("\x1b[c");
    });
  } finally {
    clearTimeout(timer);
    if (listen) input.off("data", listen);
    input.pause();
    input.setRawMode(wasRaw);
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the answer begins with one.
const ANSWER = /\x1b\[\?([\d;]+)c/;
