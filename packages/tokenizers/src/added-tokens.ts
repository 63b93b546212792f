/** Tokens outside the model's vocabulary, or special ones: found in the text before anything else. */
import * as z from "zod";
import { MAX_ID, MAX_TOKEN_LENGTH } from "./limits.js";
import { isBoundary, TextTrie } from "./text-trie.js";
import { WHITE_SPACE } from "./whitespace.js";

export const addedTokenSchema = z.looseObject({
  id: z.number().int().min(0).max(MAX_ID),
  content: z.string().min(1).max(MAX_TOKEN_LENGTH),
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
  const trie = new TextTrie();
  for (const [i, { content }] of tokens.entries()) trie.set(content, i);
  // Rust's `\w`.
  const word = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
  const space = new RegExp(WHITE_SPACE, "u");
  return (text) => {
    const segments: TextSegment[] = [];
    let position = 0;
    for (let at = 0; at < text.length; ) {
      const match = trie.longest(text, at);
      if (!match || !isBoundary(text, at) || !isBoundary(text, match.end)) {
        at++;
        continue;
      }
      const token = tokens[match.value]!;
      let start = at;
      let end = match.end;
      at = end;
      if (token.single_word) {
        const before = [...text.slice(Math.max(0, start - 2), start)].at(-1) ?? "";
        const after = [...text.slice(end, end + 2)][0] ?? "";
        if (word.test(before) || word.test(after)) continue;
      }
      if (start < position) continue;
      if (token.lstrip) while (start > position && space.test(text[start - 1]!)) start--;
      if (token.rstrip) while (end < text.length && space.test(text[end]!)) end++;
      if (start > position) segments.push(text.slice(position, start));
      segments.push(token.id);
      position = end;
    }
    if (position < text.length) segments.push(text.slice(position));
    return segments;
  };
}
