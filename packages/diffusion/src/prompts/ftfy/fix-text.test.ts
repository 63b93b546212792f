/** Against a table of ftfy's own outputs; how it was made stands in the file. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fixText } from "./fix-text.js";

const table = JSON.parse(readFileSync(new URL("../__fixtures__/ftfy.json", import.meta.url), "utf8")) as {
  readonly origin: string;
  readonly cases: readonly (readonly [string, string])[];
};

describe("fixText", () => {
  it(`gives what ${table.origin} gave`, () => {
    const wrong = table.cases
      .filter(([input, expected]) => fixText(input) !== expected)
      .map(([input, expected]) => ({ input, expected, got: fixText(input) }));
    expect(wrong).toEqual([]);
    expect(table.cases.filter(([input, expected]) => input !== expected).length).toBeGreaterThan(400);
  });

  // By hand, from ftfy's documentation.
  it.each([
    ["a sign that says “open”, it’s late", `a sign that says "open", it's late`],
    ["âœ” No problems", "✔ No problems"],
    ["ＬＯＵＤ　ＮＯＩＳＥＳ ﬂubberiﬁc", "LOUD NOISES flubberific"],
    ["&macr;\\_(ã\x83\x84)_/&macr;", "¯\\_(ツ)_/¯"],
    ["P&EACUTE;REZ &nTILDE; this&not that", "PÉREZ &nTILDE; this&not that"],
    ["<b>&lt;</b>", "<b>&lt;</b>"],
    ["&lt;\n<b>\n&lt;", "<\n<b>\n&lt;"],
    ["voilÃ le travail", "voilà le travail"],
    ["\u001b[36;44mblue\u001b[0m\u0000", "blue"],
    ["A\u030a \ud83d", "Å \ufffd"],
    // By ftfy 6.3.1: Java's null of which the second byte is the line's end, and a surrogate of which the last is.
    ["Ã© À\nnext", "é next"],
    ["Ã©í\u00a0\u00bcí\u00b4\nx", "é\u{1f10a}x"],
    ["Ã© À", "é À"],
  ])("%j", (input, expected) => {
    expect(fixText(input)).toBe(expected);
  });

  it("leaves ordinary text of many languages as it is", () => {
    for (const text of [
      "A wide-view shot, 35mm: a cat – and a dog… runs, 50 % off",
      "Ein Bär läuft über die Straße. Übung, ÄÖÜ, 5 €",
      "Привет, мир! 一只猫坐在沙发上。 日本語のプロンプト 한국어 हिन्दी ไทย 🐱👨‍👩‍👧",
      "Århus, Çatalhöyük, São Paulo, Łódź, L’Haÿ".replace("’", "'"),
    ])
      expect(fixText(text)).toBe(text);
  });

  it("takes time in proportion to the text, also where all of it is mojibake", () => {
    const text = "Ã©t".repeat(200_000);
    expect(fixText(text)).toBe("ét".repeat(200_000));
    expect(fixText(`&${"amp;".repeat(50_000)}`).length).toBeLessThan(200_000);
    expect(fixText("\u{10ffff}".repeat(1_000_001)).length).toBe(2_000_002);
  });
});
