/**
 * ftfy's `fix_text` in its default configuration (ftfy 6.3, Robyn Speer): text that went through a wrong encoding,
 * a word processor, a web page or a terminal becomes what was meant. Wan's pipelines do it before the tokenizer.
 */
import {
  fixCharacterWidth,
  fixLatinLigatures,
  fixLineBreaks,
  fixSurrogates,
  removeControlCharacters,
  removeTerminalEscapes,
  uncurlQuotes,
} from "./characters.js";
import { fixC1Controls, fixEncoding } from "./fix-encoding.js";
import { unescapeHtmlEntities } from "./html-entities.js";

/** Longest segment, in characters; ftfy's `max_decode_length`. */
const SEGMENT_LENGTH = 1_000_000;
/** ftfy goes on until nothing changes, one level of `&amp;amp;amp;` at a time: for hours on a long enough one. */
const MAX_PASSES = 100;

/** In the order in which they are applied, after HTML and encoding. */
const FIXERS: readonly ((text: string) => string)[] = [
  fixC1Controls,
  fixLatinLigatures,
  fixCharacterWidth,
  uncurlQuotes,
  fixLineBreaks,
  fixSurrogates,
  removeTerminalEscapes,
  removeControlCharacters,
  (text) => text.normalize("NFC"),
];

/** Line by line: each may have gone through other hands. */
export function fixText(text: string): string {
  // From the first line on that holds a "<", the text is HTML itself, and its references belong to it.
  let references = true;
  let fixed = "";
  for (const line of lines(text)) {
    references &&= !line.includes("<");
    fixed += fixLine(line, references);
  }
  return fixed;
}

function fixLine(line: string, references: boolean): string {
  let now = line;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    let next = fixEncoding(references ? unescapeHtmlEntities(now) : now);
    for (const fix of FIXERS) next = fix(next);
    if (next === now) break;
    now = next;
  }
  return now;
}

/** Lines with their ends, the very long ones in pieces. */
function* lines(text: string): Generator<string> {
  for (let start = 0; start < text.length; ) {
    const lineEnd = text.indexOf("\n", start) + 1 || text.length;
    const end = Math.min(lineEnd, afterCharacters(text, start, SEGMENT_LENGTH));
    yield text.slice(start, end);
    start = end;
  }
}

/** Where `count` characters end; a surrogate pair is one. */
function afterCharacters(text: string, start: number, count: number): number {
  if (text.length - start <= count) return text.length;
  let at = start;
  for (let i = 0; i < count && at < text.length; i++) at += text.codePointAt(at)! > 0xffff ? 2 : 1;
  return at;
}
