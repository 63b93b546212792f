/** Repairs of byte sequences on their way to be UTF-8 again. Bytes are characters U+0000 to U+00FF here. */

/** UTF-8 of likely characters, but for a space where byte 0xA0 was taken for one. */
const ALTERED = new RegExp(
  [
    // U+00A0, à, Š, Π, Р and the Arabic digit zero.
    "[\\xc2\\xc3\\xc5\\xce\\xd0\\xd9] ",
    "[\\xe2\\xe3] [\\x80-\\x84\\x86-\\x9f\\xa1-\\xbf]",
    "[\\xe0-\\xe3][\\x80-\\x84\\x86-\\x9f\\xa1-\\xbf] ",
    "\\xf0 [\\x80-\\xbf][\\x80-\\xbf]",
    "\\xf0[\\x80-\\xbf] [\\x80-\\xbf]",
    "\\xf0[\\x80-\\xbf][\\x80-\\xbf] ",
  ].join("|"),
  "g",
);
/** "Ã " as a word of its own is "à " and keeps its space, but not at the start of Portuguese words. */
const A_GRAVE_WORD = /\xc3 (?! |quele|quela|quilo|s )/g;

/** Puts byte 0xA0 back, where a space stands in its place. */
export function restoreByteA0(bytes: string): string {
  if (bytes.search(ALTERED) < 0) return bytes;
  return bytes
    .replace(A_GRAVE_WORD, "\xc3\xa0 ")
    .replace(ALTERED, (sequence) => sequence.replaceAll(" ", "\xa0"));
}

/** UTF-8 and CESU-8 of which some bytes are lost: 0x1A stands for those, or one question mark. */
const LOSSY = new RegExp(
  [
    "[\\xc2-\\xdf]\\x1a",
    "[\\xc2-\\xc3]\\?",
    "\\xed[\\xa0-\\xaf][\\x1a?]\\xed[\\xb0-\\xbf][\\x1a?\\x80-\\xbf]",
    "\\xed[\\xa0-\\xaf][\\x1a?\\x80-\\xbf]\\xed[\\xb0-\\xbf][\\x1a?]",
    "[\\xe0-\\xef][\\x1a?][\\x1a\\x80-\\xbf]",
    "[\\xe0-\\xef][\\x1a\\x80-\\xbf][\\x1a?]",
    "[\\xf0-\\xf4][\\x1a?][\\x1a\\x80-\\xbf][\\x1a\\x80-\\xbf]",
    "[\\xf0-\\xf4][\\x1a\\x80-\\xbf][\\x1a?][\\x1a\\x80-\\xbf]",
    "[\\xf0-\\xf4][\\x1a\\x80-\\xbf][\\x1a\\x80-\\xbf][\\x1a?]",
    "\\x1a",
  ].join("|"),
  "g",
);

/** Makes U+FFFD of every sequence of which bytes are lost. */
export function replaceLossySequences(bytes: string): string {
  return bytes.replace(LOSSY, "\xef\xbf\xbd");
}

/**
 * A character above U+FFFF as two surrogates of three bytes, and U+0000 as Java writes it. In place of the last byte
 * ftfy's decoder, whose `$` is Python's, also takes a line break at the end: "À" there is a null, and the break lost.
 */
const VARIANTS = /\xed([\xa0-\xaf])([\x80-\xbf])\xed([\xb0-\xbf])([\x80-\xbf]|\n$)|\xc0(?:\x80|\n$)/g;

/** UTF-8, CESU-8 and Java's UTF-8 as text; undefined where the bytes are none of these. */
export function decodeUtf8(bytes: string): string | undefined {
  const plain = bytes.replace(VARIANTS, (_, a?: string, b?: string, c?: string, d?: string) => {
    if (a === undefined || b === undefined || c === undefined || d === undefined) return "\0";
    const bits = (byte: string, mask: number) => byte.charCodeAt(0) & mask;
    const code =
      0x10000 + (bits(a, 0x0f) << 16) + (bits(b, 0x3f) << 10) + (bits(c, 0x0f) << 6) + bits(d, 0x3f);
    return String.fromCharCode(
      0xf0 | (code >> 18),
      0x80 | ((code >> 12) & 0x3f),
      0x80 | ((code >> 6) & 0x3f),
      0x80 | (code & 0x3f),
    );
  });
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      Uint8Array.from(plain, (byte) => byte.charCodeAt(0)),
    );
  } catch {
    return undefined;
  }
}
