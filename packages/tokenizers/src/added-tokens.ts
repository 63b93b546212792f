/** Tokens outside the model's vocabulary, or special ones: found in the text before anything else. */
import * as z from "zod";
import { WHITE_SPACE } from "./whitespace.js";

export const addedTokenSchema = z.looseObject({
  id: z.number().int().min(0),
  content: z.string().min(1),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().default(false),
});

export type AddedToken = z.output<typeof addedTokenSchema>;

/** A stretch of ordinary text, or the id of an added token. */
export type TextSegment = string | number;

/** Cuts a text at the added tokens, leftmost and longest first. Empty stretches are left out. */
export type TokenSplitter = (text: string) => TextSegment[];

export function createTokenSplitter(tokens: readonly AddedToken[]): TokenSplitter {
  if (tokens.length === 0) return (text) => (text === "" ? [] : [text]);
  const byContent = new Map(tokens.map((token) => [token.content, token]));
  const longestFirst = [...byContent.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(longestFirst.map(escapePattern).join("|"), "gu");
  // Rust's `\w`.
  const word = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
  const leading = new RegExp(`^${WHITE_SPACE}+`, "u");
  const space = new RegExp(WHITE_SPACE, "u");
  return (text) => {
    const segments: TextSegment[] = [];
    let position = 0;
    for (const match of text.matchAll(pattern)) {
      const token = byContent.get(match[0])!;
      let start = match.index;
      let end = start + match[0].length;
      if (token.single_word) {
        const before = [...text.slice(Math.max(0, start - 2), start)].at(-1) ?? "";
        const after = [...text.slice(end, end + 2)][0] ?? "";
        if (word.test(before) || word.test(after)) continue;
      }
      if (start < position) continue;
      if (token.lstrip) while (start > position && space.test(text[start - 1]!)) start--;
      if (token.rstrip) end += leading.exec(text.slice(end))?.[0].length ?? 0;
      if (start > position) segments.push(text.slice(position, start));
      segments.push(token.id);
      position = end;
    }
    if (position < text.length) segments.push(text.slice(position));
    return segments;
  };
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, (character) => `\\${character}`);
}
