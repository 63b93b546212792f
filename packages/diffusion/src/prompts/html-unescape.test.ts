import { describe, expect, it } from "vitest";
import { htmlUnescape } from "./html-unescape.js";

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
