/** What ranks say to one another: one line of JSON each, over a socket. */
import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import * as z from "zod";

const failure = z.object({
  code: z.string(),
  message: z.string(),
  fix: z.string().optional(),
  fault: z.enum(["usage", "input", "run"]).default("run"),
});
export type Failure = z.input<typeof failure>;

const word = z.discriminatedUnion("kind", [
  /** A rank is there. */
  z.object({ kind: z.literal("join"), rank: z.number() }),
  /** What it is to do. */
  z.object({ kind: z.literal("welcome"), worldSize: z.number(), task: z.unknown() }),
  /** A rank has written its part of a round. */
  z.object({ kind: z.literal("given"), group: z.string(), round: z.number(), size: z.number() }),
  /** All have: how much each. */
  z.object({ kind: z.literal("round"), group: z.string(), round: z.number(), sizes: z.array(z.number()) }),
  /** A rank is done, and leaves. */
  z.object({ kind: z.literal("done") }),
  /** A rank failed; or: the run is over because one did. */
  z.object({ kind: z.literal("failed"), failure }),
]);
export type Word = z.input<typeof word>;

export function say(socket: Socket, words: Word): void {
  if (socket.writable) socket.write(`${JSON.stringify(words)}\n`);
}

/** `hear` is told every word, `end` once that nothing will follow. */
export function listen(socket: Socket, hear: (words: Word) => void, end: () => void): void {
  const lines = createInterface({ input: socket });
  lines.on("line", (line) => {
    let words: Word;
    try {
      words = word.parse(JSON.parse(line));
    } catch {
      socket.destroy();
      return;
    }
    hear(words);
  });
  // Both tell of errors; `close` comes in any case.
  lines.on("error", () => {});
  socket.on("error", () => {});
  socket.on("close", end);
}
