/** Text that was decoded with the wrong encoding, decoded again with the right one, as ftfy's `fix_encoding` does. */
import { CHARMAPS, canEncode, encode } from "./charmaps.js";
import { isBad, UTF8_LOOKALIKE } from "./mojibake.js";
import { decodeUtf8, replaceLossySequences, restoreByteA0 } from "./utf8-bytes.js";

const LATIN_1 = CHARMAPS.find(({ name }) => name === "latin-1")!;
const WINDOWS_1252 = CHARMAPS.find(({ name }) => name === "windows-1252")!;
const C1_CONTROLS = /[\x80-\x9f]/g;

/** Layer by layer, until nothing changes. */
export function fixEncoding(text: string): string {
  for (let now = text; ; ) {
    const next = fixOneLayer(now);
    if (next === now) return now;
    now = next;
  }
}

/** C1 controls, which nobody means, as the characters that Windows-1252 has at their place. */
export function fixC1Controls(text: string): string {
  return text.replace(C1_CONTROLS, (control) => WINDOWS_1252.upper[control.charCodeAt(0) - 0x80]!);
}

function fixOneLayer(text: string): string {
  if (!isBad(text)) return text;
  for (const map of CHARMAPS) {
    if (!canEncode(text, map)) continue;
    let bytes = encode(text, map);
    // In MacRoman the sequences that byte 0xA0 is missing from would be a dash before a space.
    if (map.name !== "macroman") bytes = restoreByteA0(bytes);
    if (map.lossy) bytes = replaceLossySequences(bytes);
    const decoded = decodeUtf8(bytes);
    if (decoded !== undefined) return decoded;
  }

  const inconsistent = text.replace(UTF8_LOOKALIKE, (part) =>
    part.length < text.length && isBad(part) ? fixEncoding(part) : part,
  );
  if (inconsistent !== text) return inconsistent;

  // Latin-1 that holds C1 controls was Windows-1252; the five bytes that this does not have leave it as it was.
  if (canEncode(text, LATIN_1) && !/[\x81\x8d\x8f\x90\x9d]/.test(text)) {
    const windows = fixC1Controls(text);
    if (windows !== text) return windows;
  }
  return fixC1Controls(text);
}
