/** Seeded strings that are hard on tokenizers. */
import { seededUniform } from "@lvsa/runtime/testing";

const ORDINARY =
  "a|b|the |cat| |  |   |\n|\r\n|\t|'s|'RE|I'll|.|,|!!|12|3|½|naïve|café|-|_|@|<|>|</|▁|▁▁|wide-view shot: 35mm".split(
    "|",
  );
const SCRIPTS = "é|e\u0301|ß|ſ|猫|犬と|か\u3099|ｶﾞ|क्षि|ﷺ|Ａ|ﬁ|Ǆ|İ|ı|\u212a|\u0345|ไทย|한글|각".split("|");
const EMOJI = "🐱|👨‍👩‍👧|🇩🇪|\u200d|👍🏽|❤️|\u{1F468}|\u{10FFFF}|\u{E0001}|𝔹".split("|");
const CONTROL = Array.from(
  "\u0000\u0001\u001c\u007f\u0085\u00a0\u00ad\u1680\u180e\u2028\u200b\u2060\u3000\ufeff\ufffd\u000b\u000c\u202e",
);

/** `count` strings of up to `parts` parts, plus the empty string and a very long one. `extra`: own parts. */
export function randomTexts(
  count: number,
  seed: number,
  extra: readonly string[] = [],
  parts = 14,
): string[] {
  const uniform = seededUniform(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(uniform() * list.length)]!;
  const pools = [ORDINARY, ORDINARY, SCRIPTS, EMOJI, CONTROL, ...(extra.length > 0 ? [extra] : [])];
  const anyCharacter = () => {
    const code = Math.floor(uniform() * (uniform() < 0.8 ? 0x3000 : 0x1ffff));
    return code >= 0xd800 && code <= 0xdfff ? "x" : String.fromCodePoint(code);
  };
  const texts = Array.from({ length: count }, () =>
    Array.from({ length: Math.floor(uniform() * parts) }, () =>
      uniform() < 0.15 ? anyCharacter() : pick(pick(pools)),
    ).join(""),
  );
  return ["", " ", ...texts, texts.join(" ").repeat(2), "x".repeat(20_000)];
}
