/** HTML character references, replaced as Python's `html.unescape` does. */
import { decodeHTML } from "entities/decode";

// A decimal or hexadecimal number, or up to 32 characters that may be a name; the semicolon is optional.
const REFERENCE = /&(?:#([0-9]+);?|#[xX]([0-9a-fA-F]+);?|([^\t\n\f <&#;]{1,32};?))/gu;

export function htmlUnescape(text: string): string {
  return text.replace(REFERENCE, (whole, decimal?: string, hexadecimal?: string) => {
    if (decimal !== undefined) return fromNumber(Number.parseInt(decimal, 10));
    if (hexadecimal !== undefined) return fromNumber(Number.parseInt(hexadecimal, 16));
    return decodeHTML(whole);
  });
}

function fromNumber(code: number): string {
  if (code === 0 || (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff) return "\ufffd";
  if (code === 0x0d) return "\r";
  // HTML reads these as Windows-1252.
  if (code >= 0x80 && code <= 0x9f) return decodeHTML(`&#${code};`);
  const control = code < 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0c;
  const noncharacter = (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe;
  return control || code === 0x7f || noncharacter ? "" : String.fromCodePoint(code);
}
