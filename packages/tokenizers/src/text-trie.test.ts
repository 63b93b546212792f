import { seededUniform } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { isBoundary, TextTrie } from "./text-trie.js";

describe("TextTrie", () => {
  it("finds what stands at a place, shortest first, as comparing all strings does", () => {
    const uniform = seededUniform(5);
    const word = () =>
      Array.from({ length: 1 + Math.floor(uniform() * 6) }, () => "abé猫"[Math.floor(uniform() * 4)]).join(
        "",
      );
    const words = [...new Set(Array.from({ length: 3000 }, word))];
    const trie = new TextTrie();
    for (const [i, text] of words.entries()) trie.set(text, i);
    const text = Array.from({ length: 200 }, word).join("");
    for (let at = 0; at < text.length; at++) {
      const found: string[] = [];
      trie.match(text, at, (end, value) => {
        expect(text.slice(at, end)).toBe(words[value]);
        found.push(words[value]!);
      });
      const expected = words.filter((w) => text.startsWith(w, at)).sort((a, b) => a.length - b.length);
      expect(found).toEqual(expected);
      expect(trie.longest(text, at)?.end ?? at).toBe(at + (expected.at(-1)?.length ?? 0));
    }
  });

  it("lets a later value of the same text win, and knows prefixes from strings", () => {
    const trie = new TextTrie();
    trie.set("cat", 1);
    trie.set("cat", 0);
    expect(trie.longest("cats", 0)).toEqual({ end: 3, value: 0 });
    expect(trie.longest("ca", 0)).toBeUndefined();
    expect(trie.longest("cat", 3)).toBeUndefined();
  });

  it("knows where a match cuts a surrogate pair", () => {
    expect([0, 1, 2, 3].map((at) => isBoundary("\ud83d\udca9x", at))).toEqual([true, false, true, true]);
    expect(isBoundary("\udca9", 0)).toBe(true);
  });
});
