/** Replacements of single characters that people rarely mean to write, as ftfy makes them. */

const LIGATURES: ReadonlyMap<string, string> = new Map([
  ...([..."ĲĳŉǱǲǳǄǅǆǇǈǉǊǋǌﬀﬁﬂﬃﬄﬅﬆ"].map((c, i) => [
    c,
    "IJ ij ʼn DZ Dz dz DŽ Dž dž LJ Lj lj NJ Nj nj ff fi fl ffi ffl ſt st".split(" ")[i]!,
  ]) as [string, string][]),
]);
const LIGATURE = new RegExp(`[${[...LIGATURES.keys()].join("")}]`, "gu");

/** Ligatures of Latin letters, and pairs of letters in one character, taken apart. */
export function fixLatinLigatures(text: string): string {
  return text.replace(LIGATURE, (ligature) => LIGATURES.get(ligature)!);
}

/** Fullwidth and halfwidth forms, and the ideographic space, as the ordinary ones. */
export function fixCharacterWidth(text: string): string {
  return text.replace(/[\u3000\uff01-\uffef]/gu, (c) => (c === "\u3000" ? " " : c.normalize("NFKC")));
}

export function uncurlQuotes(text: string): string {
  return text.replace(/[\u201c-\u201f]/gu, '"').replace(/[\u02bc\u2018-\u201b]/gu, "'");
}

export function fixLineBreaks(text: string): string {
  return text.replace(/\r\n|[\r\u2028\u2029\u0085]/gu, "\n");
}

/** Surrogates without their partner. */
export function fixSurrogates(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

/** Colours and moves of the cursor. */
export function removeTerminalEscapes(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is looked for
  return text.replace(/\u001b\[[\p{Nd};]*[a-zA-Z]/gu, "");
}

/** Control characters that make no white space, annotations, and byte order marks. */
export function removeControlCharacters(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/[\u0000-\u0008\u000b\u000e-\u001f\u007f\u206a-\u206f\ufeff\ufff9-\ufffc]/gu, "");
}
