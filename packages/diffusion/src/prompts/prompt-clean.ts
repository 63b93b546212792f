/** Prompt cleaning that Wan's pipelines do before the tokenizer. */
import { htmlUnescape } from "./html-unescape.js";

/** What Python's `str.isspace` takes for white space: Unicode's, and the four separators U+001C to U+001F. */
const PYTHON_SPACE = "[\\p{White_Space}\\u001c-\\u001f]";

/**
 * diffusers' `prompt_clean`: HTML unescaped twice, runs of white space to one space, ends stripped. diffusers
 * first repairs mis-decoded text with `ftfy` where that is installed; on ordinary text this changes nothing,
 * and it is not done here.
 */
export function promptClean(text: string): string {
  const unescaped = pythonStrip(htmlUnescape(htmlUnescape(text)));
  return pythonStrip(unescaped.replace(/\p{White_Space}+/gu, " "));
}

/** Python's `str.strip()`. */
function pythonStrip(text: string): string {
  const space = new RegExp(PYTHON_SPACE, "u");
  let start = 0;
  let end = text.length;
  while (start < end && space.test(text[start]!)) start++;
  while (end > start && space.test(text[end - 1]!)) end--;
  return text.slice(start, end);
}
