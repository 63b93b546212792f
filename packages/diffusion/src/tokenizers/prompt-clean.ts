/** Prompt cleaning that Wan's pipelines do before the tokenizer. */
import { htmlUnescape } from "./html-unescape.js";
import { pythonStrip, WHITE_SPACE } from "./whitespace.js";

/**
 * diffusers' `prompt_clean`: HTML unescaped twice, runs of white space to one space, ends stripped. diffusers
 * first repairs mis-decoded text with `ftfy` where that is installed; on ordinary text this changes nothing,
 * and it is not done here.
 */
export function promptClean(text: string): string {
  const unescaped = pythonStrip(htmlUnescape(htmlUnescape(text)));
  return pythonStrip(unescaped.replace(new RegExp(`${WHITE_SPACE}+`, "gu"), " "));
}
