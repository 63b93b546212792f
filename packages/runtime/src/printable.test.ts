import { describe, expect, it } from "vitest";
import { onOneLine, printable, quoted } from "./printable.js";

describe("printable", () => {
  it.each([
    ["plain, \ttabs\nand lines", "plain, \ttabs\nand lines"],
    ["猫 👩‍👩‍👧 é ﬁ", "猫 👩‍👩‍👧 é ﬁ"],
    ["\u001b]0;owned\u0007\u001b[2J", "\\u001b]0;owned\\u0007\\u001b[2J"],
    ["a\rb\u0000\u007f\u009b31m", "a\\u000db\\u0000\\u007f\\u009b31m"],
    ["gpj.\u202eexe\u2066x\u2028", "gpj.\\u202eexe\\u2066x\\u2028"],
    ["\ud83d and \udca9", "\\ud83d and \\udca9"],
    ["\ud83d\udca9", "\ud83d\udca9"],
  ])("%j", (text, expected) => {
    expect(printable(text)).toBe(expected);
  });
});

describe("onOneLine", () => {
  it.each([
    ["blocks.0.attn1.to_q.weight", "blocks.0.attn1.to_q.weight"],
    ["x\nerror: all is lost\tnow", "x\\nerror: all is lost\\tnow"],
    ["\u001b[31mx", "\\u001b[31mx"],
    ["a".repeat(300), `${"a".repeat(200)}…`],
    [`${"a".repeat(199)}👩`, `${"a".repeat(199)}…`],
  ])("%j", (name, expected) => {
    expect(onOneLine(name)).toBe(expected);
  });
});

describe("quoted", () => {
  it.each([
    [undefined, "undefined"],
    [null, "null"],
    ["x", '"x"'],
    [["a", 1.5], '["a",1.5]'],
    ["\u001b[31m\u009b", '"\\u001b[31m\\u009b"'],
    [7n, "7"],
  ])("value %#", (value, expected) => {
    expect(quoted(value)).toBe(expected);
  });

  it("is short, and cuts no pair in two", () => {
    expect(quoted("x".repeat(1e6))).toBe(`"${"x".repeat(79)}…`);
    expect(quoted(Array.from({ length: 1e5 }, () => "y")).length).toBe(81);
    expect(quoted("😀".repeat(60), 10)).toBe(`"${"😀".repeat(4)}…`);
  });
});
