import { describe, expect, it } from "vitest";
import { promptClean } from "./prompt-clean.js";

describe("promptClean", () => {
  it("repairs, unescapes, collapses every kind of white space and strips", () => {
    expect(promptClean("  a \u3000\u00a0 b\r\n\tc &amp;amp; &amp;lt; \u001f")).toBe("a b c & <");
    expect(promptClean("&nbsp; \u2028")).toBe("");
    // No white space for Python: a zero-width space stays. The byte order mark goes with the control characters.
    expect(promptClean("a\u200b \ufeffb")).toBe("a\u200b b");
    expect(promptClean(" a sign that says “open”, it’s\u3000late ")).toBe(
      `a sign that says "open", it's late`,
    );
  });

  it("unescapes after ftfy what ftfy leaves: names without a semicolon", () => {
    // Python: html.unescape(html.unescape(ftfy.fix_text("this&not that <b> &amp;lt;")))
    expect(promptClean("this&not that <b> &amp;lt;")).toBe("this¬ that <b> <");
  });

  it("is quick on a long run of spaces", () => {
    expect(promptClean(`a${" ".repeat(300_000)}b`)).toBe("a b");
  });
});
