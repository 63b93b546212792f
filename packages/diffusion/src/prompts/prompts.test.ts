import { describe, expect, it } from "vitest";
import { htmlUnescape } from "./html-unescape.js";
import { promptClean } from "./prompt-clean.js";
import { cosmos3Chat, cosmos3PromptText } from "./prompts-cosmos3.js";
import { hunyuanVideo15Chat, hunyuanVideo15GlyphText } from "./prompts-hunyuan.js";

describe("htmlUnescape", () => {
  // Right-hand sides from Python 3.11's html.unescape.
  it.each([
    ["&amp;amp; &lt;b&gt; &quot;x&quot;", '&amp; <b> "x"'],
    ["&notit; &not &notin; &ampamp &AMP", "\u00acit; \u00ac \u2209 &amp &"],
    ["&#65;&#x41;&#X42 &#0; &#13; &#128; &#x81;", "AAB \ufffd \r \u20ac \u0081"],
    ["&#xD800; &#1114112; &#99999999999999999999;", "\ufffd \ufffd \ufffd"],
    ["&#1;&#x0b; &#x7f; &#xfdd0; &#x1fffe; &#9;&#10;&#12;", "    \t\n\f"],
    ["&nbsp;&copy&reg; &hearts; &CounterClockwiseContourIntegral;", "\u00a0\u00a9\u00ae \u2665 \u2233"],
    ["&bogus; & &; &&amp;", "&bogus; & &; &&"],
    ["&fjlig;&NotEqualTilde;&eacute &Eacute;\u00e9&\u732b;", "fj\u2242\u0338\u00e9 \u00c9\u00e9&\u732b;"],
    ["&thetasym;&amp#x27;&#x27s&amp;#39;", "\u03d1&#x27;'s&#39;"],
    ["&a\tb &lt\n&gt<", "&a\tb <\n><"],
    ["&ltimes &ltx; &Lt; &LT", "<imes <x; \u226a <"],
    ["&acE; &gl; &Bopf;", "\u223e\u0333 \u2277 \ud835\udd39"],
  ])("%j", (text, expected) => {
    expect(htmlUnescape(text)).toBe(expected);
  });
});

describe("promptClean", () => {
  it("unescapes twice, collapses every kind of white space and strips", () => {
    expect(promptClean("  a \u3000\u00a0 b\r\n\tc &amp;amp; &amp;lt; \u001f")).toBe("a b c & <");
    expect(promptClean("&nbsp; \u2028")).toBe("");
    // No white space for Python: zero-width characters stay.
    expect(promptClean("a\u200b \ufeffb")).toBe("a\u200b \ufeffb");
  });
});

describe("HunyuanVideo 1.5 prompts", () => {
  it("collect quoted texts once each, in order", () => {
    expect(hunyuanVideo15GlyphText('"b" and “a” and "b"')).toBe('Text "b". Text "a". ');
    expect(hunyuanVideo15GlyphText("no quotes")).toBeUndefined();
    expect(hunyuanVideo15GlyphText('"over\ntwo lines"')).toBeUndefined();
    expect(hunyuanVideo15GlyphText('""')).toBe('Text "". ');
    expect(hunyuanVideo15GlyphText('a “curly" mix”')).toBe('Text "curly" mix". ');
  });

  it("put a space where the prompt is empty", () => {
    expect(hunyuanVideo15Chat("")[1]).toEqual({ role: "user", content: " " });
  });
});

describe("Cosmos 3 prompts", () => {
  const options = { numFrames: 189, height: 720, width: 1280, fps: 24 };

  it("state duration, frame rate and size after the prompt's own full stops", () => {
    expect(cosmos3PromptText("A kite..", options)).toBe(
      "A kite. The video is 7.9 seconds long and is of 24 FPS. This video is of 720x1280 resolution.",
    );
    expect(cosmos3PromptText("", { ...options, negative: true })).toBe(
      "The video is not 7.9 seconds long and is not of 24 FPS. This video is not of 720x1280 resolution.",
    );
    expect(cosmos3PromptText("A kite", { ...options, numFrames: 1 })).toBe(
      "A kite. This image is of 720x1280 resolution.",
    );
    expect(
      cosmos3PromptText("A.", { ...options, addDurationTemplate: false, addResolutionTemplate: false }),
    ).toBe("A.");
  });

  it("round ties to even, as Python's format does", () => {
    const duration = (numFrames: number, fps: number) =>
      cosmos3PromptText("", { ...options, numFrames, fps });
    expect(duration(5, 20)).toContain("is 0.2 seconds");
    expect(duration(15, 20)).toContain("is 0.8 seconds");
    expect(duration(7, 20)).toContain("is 0.3 seconds");
    expect(duration(9, 20)).toContain("is 0.5 seconds");
    expect(duration(10, 24.5)).toContain("of 24 FPS");
    expect(duration(10, 25.5)).toContain("of 26 FPS");
    expect(duration(10, 23.976)).toContain("of 24 FPS");
  });

  it("have a system turn unless told otherwise", () => {
    expect(cosmos3Chat("A", options).map(({ role }) => role)).toEqual(["system", "user"]);
    expect(cosmos3Chat("A", { ...options, numFrames: 1 })[0]?.content).toContain("generate images");
    expect(cosmos3Chat("A", { ...options, useSystemPrompt: false })).toHaveLength(1);
  });
});
