/** Character references that are certainly meant as such, as ftfy's `unescape_html` replaces them. */
import { decodeHTMLStrict } from "entities/decode";
import { htmlUnescape } from "../html-unescape.js";

const REFERENCE = /&#?[0-9A-Za-z]{1,24};/gu;

/**
 * With their semicolon only, unlike `htmlUnescape`; but also names in capitals, such as `&EACUTE;`, which are no
 * entities of their own, as the capital of what they name in small letters.
 */
export function unescapeHtmlEntities(text: string): string {
  return text.replace(REFERENCE, (reference) => {
    if (reference.startsWith("&#")) {
      const character = htmlUnescape(reference);
      return character.includes(";") ? reference : character;
    }
    const named = decodeHTMLStrict(reference);
    if (named !== reference) return named;
    // Names such as `&AMPX;` begin with one that needs no semicolon.
    if (reference !== reference.toUpperCase() || htmlUnescape(reference) !== reference) return reference;
    const lower = reference.toLowerCase();
    const small = decodeHTMLStrict(lower);
    return small === lower ? reference : small.toUpperCase();
  });
}
