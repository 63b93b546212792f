/** Prompt cleaning that Wan's pipelines do before the tokenizer. */
import { fixText } from "./ftfy/fix-text.js";
import { htmlUnescape } from "./html-unescape.js";

/** What Python's `str.isspace` takes for white space: Unicode's, and the four separators U+001C to U+001F. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are white space for Python
const SPACE = /[\p{White_Space}\u001c-\u001f]/u;

/**
 * diffusers' `prompt_clean`, as in Wan's own code: text repaired as `ftfy.fix_text` does (straight quotes, ordinary
 * widths, mojibake undone), HTML unescaped twice, runs of white space to one space, ends stripped. Time grows in
 * proportion to the prompt.
 */
export function promptClean(text: string): string {
  const unescaped = pythonStrip(htmlUnescape(htmlUnescape(fixText(text))));
  return pythonStrip(unescaped.replace(/\p{White_Space}+/gu, " "));
}

/** Python's `str.strip()`. By hand: an anchored `+` takes quadratic time on long runs of spaces. */
function pythonStrip(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && SPACE.test(text[start]!)) start++;
  while (end > start && SPACE.test(text[end - 1]!)) end--;
  return text.slice(start, end);
}
