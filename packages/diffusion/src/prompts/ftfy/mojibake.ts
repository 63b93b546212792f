/**
 * What text looks like that was decoded with the wrong encoding: ftfy's heuristic of unlikely neighbours. Classes
 * hold the few hundred characters that such text consists of; a rule is a sequence of classes that hardly anyone
 * writes on purpose. The classes and rules are those of ftfy 6.3 by Robyn Speer (Apache-2.0), whose decisions
 * checkpoints were trained with.
 */
import { CHARMAPS } from "./charmaps.js";

// Ranges are written with "-", as in a regular expression's class; no class holds a hyphen itself.
const C1 = "\\x80-\\x9f";
/** In many contexts, and no sign of anything by themselves. */
const COMMON = "\u00a0\u00ad·´–—―…’";
/** Hardly ever written on purpose. */
const BAD = "¦¤¨¬¯¸ƒˆˇ˘˛˜†‡‰⌐◊\ufffdªº";
const LAW = "¶§";
const CURRENCY = "¢£¥₧€";
const START = "¡«¿©΄΅‘‚“„•‹\uf8ff";
const END = "®»˝”›™";
const NUMERIC = "²³¹±¼½¾×µ÷⁄∂∆∏∑√∞∩∫≈≠≡≤≥№";
/** Parts of faces, which stand next to the oddest neighbours. */
const KAOMOJI = "Ò-ÖÙ-Üò-öø-üŐŌŪŲ°";
/** Without the letters of faces, but with Ø, which mojibake of Arabic is full of. */
const UPPER = "À-ÑØÜÝĂĀĄĆČĎĐĘĚĒĖĞĢİĪĶĹĽŁĻŃŇŅŒŘŚŞŠŢŤŮŰŸŹŻŽҐ";
const LOWER = "ßà-ñăąāćčďđęěēėğģįīķĺľłļœŕśşšťüźżžґﬁﬂ";
/** Letters of alphabets where they end words, so that they do not count as accented ones. */
const UPPER_ALPHABET = "ÞΑ-ΩΆΈΉΊΌΎΏΪΫЁ-Я";
const LOWER_ALPHABET = "α-ωάέήίΰа-џ";
/** Without the single horizontal line, which occurs in faces. */
const BOX = "│┌┐┘├┤┬┼═-╬▀▄█▌▐░▒▓";

/** Python's `\s` and `\w`. */
const SPACE = "[\\p{White_Space}\\u001c-\\u001f]";
const WORD = "[\\p{L}\\p{N}_]";

const sequence = (...classes: readonly string[]) => classes.map((members) => `[${members}]`).join("");
const SYMBOLS = BOX + START + END + CURRENCY + NUMERIC + LAW;

const RULES: readonly string[] = [
  sequence(C1),
  // A bad character beside another one, or beside anything that is accented or no letter.
  sequence(BAD + LOWER + UPPER + SYMBOLS, BAD),
  sequence("a-zA-Z", LOWER_ALPHABET + UPPER_ALPHABET, BAD),
  sequence(BAD, LOWER + UPPER + SYMBOLS),
  // Capitals inside of words, and letters or symbols right after symbols that end something.
  sequence(LOWER + LOWER_ALPHABET + BOX + END + CURRENCY + NUMERIC, UPPER),
  sequence(BOX + END + CURRENCY + NUMERIC, LOWER),
  sequence(LOWER + BOX + END, CURRENCY),
  SPACE + sequence(UPPER, CURRENCY),
  sequence(UPPER + BOX, NUMERIC + LAW),
  sequence(LOWER + UPPER + BOX + CURRENCY + END, START, NUMERIC),
  sequence(LOWER + UPPER + CURRENCY + NUMERIC + BOX + LAW, END, START),
  sequence(CURRENCY + NUMERIC + BOX, START),
  sequence("a-z", UPPER, START + CURRENCY),
  sequence(BOX, KAOMOJI),
  sequence(LOWER + UPPER + CURRENCY + NUMERIC + START + END + LAW, BOX),
  sequence(BOX, END),
  sequence(LOWER + UPPER, START + END) + WORD,
  // A ligature, but before a letter.
  sequence("Œœ", "^A-Za-z"),
  `${sequence(UPPER)}°`,
  // Two characters of UTF-8 read as Windows-1252: the frequent ones that no rule above finds.
  sequence("ÂÃÎÐ", `€œŠš¢£Ÿž\u00a0\u00ad®©°·»${START}${END}–—´`),
  sequence("×", "²³"),
  // Arabic: common characters too, so that two letters in a row are wanted.
  sequence("ØÙ", `${COMMON}${CURRENCY}${BAD}${NUMERIC}${START}ŸŠ®°µ»`).repeat(2),
  // Alphabets of South Asia.
  sequence("à", "²µ¹¼½¾"),
  // MacRoman.
  sequence("√", "±∂†≠®™´≤≥¥µø"),
  sequence("≈", "°¢"),
  `‚Ä${sequence("ìîïòôúùû†°¢π")}`,
  sequence("‚", "âó", "àä°ê"),
  // Windows-1251: punctuation, then letters, where three characters are wanted.
  "вЂ",
  sequence("ВГРС", `${C1}${BAD}${START}${END}${CURRENCY}°µ`, "ВГРС"),
  // Cyrillic on top of Latin-1, near a Latin letter.
  `ГўВЂВ[^\\n]${sequence("A-Za-z ")}`,
  // à, á and the no-break space as Windows-1252.
  sequence("Ã", "\u00a0¡"),
  `[a-z]${SPACE}?${sequence("ÃÂ", " ")}`,
  `^${sequence("ÃÂ", " ")}`,
  // Â in front of the character that it encodes.
  sequence(`a-z.,?!${END}`, "Â", ` ${START}${END}`),
  // Windows-1253: punctuation, then letters.
  `β€${sequence("™\u00a0Ά\u00ad®°")}`,
  sequence("ΒΓΞΟ", `${C1}${BAD}${START}${END}${CURRENCY}°`, "ΒΓΞΟ"),
  // Windows-1257: punctuation.
  "ā€",
];

const MOJIBAKE = new RegExp(RULES.join("|"), "u");

/** Whether some of the text looks as if it was decoded with the wrong encoding. */
export function isBad(text: string): boolean {
  return MOJIBAKE.test(text);
}

/** What a range of bytes means in the encodings that are like Latin-1. */
function meanings(first: number, last: number): string {
  const names = ["latin-1", ...[1250, 1251, 1252, 1253, 1254, 1257].map((page) => `windows-${page}`)];
  const maps = CHARMAPS.filter(({ name }) => names.includes(name));
  const characters = maps.flatMap(({ upper }) => Array.from(upper.slice(first - 0x80, last - 0x80 + 1)));
  return [...new Set(characters)].join("");
}

const CONTINUATION = meanings(0x80, 0xbf);
/** Characters that may well stand for themselves beside mojibake. */
const ORDINARY = /[–—―‘’‚“”„•…]/gu;

/**
 * Runs of what looks like UTF-8 in an encoding like Latin-1, with a space where the no-break space was lost. Not
 * right after a further continuation, where fixing a part would make things worse.
 */
export const UTF8_LOOKALIKE = new RegExp(
  `(?<!${sequence(CONTINUATION.replace(ORDINARY, ""))})(?:${[
    sequence(meanings(0xc2, 0xdf), `${CONTINUATION} `),
    `${sequence(meanings(0xe0, 0xef))}${sequence(`${CONTINUATION} `)}{2}`,
    `${sequence(meanings(0xf0, 0xf0) + meanings(0xf3, 0xf3))}${sequence(`${CONTINUATION} `)}{3}`,
  ].join("|")})+`,
  "gu",
);
