/** Texts of environment variables to values: the forms that the Python original takes, except silent ones. */

import type { ScheduledSteps } from "@lvsa/core";

/** How a variable's text is read. */
export type ValueKind = "switch" | "integer" | "number" | "integers" | "text" | "json" | "schedule";

/** What a kind accepts, for error texts and tables. */
export const ACCEPTED: Readonly<Record<ValueKind, string>> = {
  switch: "1, true or yes for on; 0, false, no, off or nothing for off",
  integer: "a decimal whole number",
  number: "a decimal number",
  integers: "decimal whole numbers separated by commas",
  text: "text",
  json: "a JSON object",
  schedule: "ranges of steps, none twice, e.g. 0-4:dense,45-49:dense",
};

/** The value, or undefined where the text has not the accepted form. */
export function readValue(kind: ValueKind, text: string): unknown {
  switch (kind) {
    case "switch":
      return readSwitch(text);
    case "integer":
      return readInteger(text);
    case "number":
      return readNumber(text);
    case "integers":
      return readIntegers(text);
    case "text":
      return text;
    case "json":
      return readObject(text);
    case "schedule":
      return readSchedule(text);
    default:
      return kind satisfies never;
  }
}

/** Any case; blanks are not trimmed, so that ` 1` is neither silently on nor silently off. */
export function readSwitch(text: string): boolean | undefined {
  const lower = text.toLowerCase();
  if (["1", "true", "yes"].includes(lower)) return true;
  return ["", "0", "false", "no", "off"].includes(lower) ? false : undefined;
}

/** Surrounding blanks, a sign, `_` between digits and full-width digits, as Python's `int` takes them. */
export function readInteger(text: string): number | undefined {
  const plain = text.normalize("NFKC").trim();
  if (!/^[+-]?\d+(_\d+)*$/.test(plain)) return undefined;
  const value = Number(plain.replaceAll("_", ""));
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Decimal or with an exponent; NaN and infinity are none. */
export function readNumber(text: string): number | undefined {
  const plain = text.normalize("NFKC").trim();
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain)) return undefined;
  const value = Number(plain);
  return Number.isFinite(value) ? value : undefined;
}

/** At least one; a comma at the end does not count. */
function readIntegers(text: string): number[] | undefined {
  const items = text.split(",");
  if (items.length > 1 && items.at(-1)!.trim() === "") items.pop();
  const values = items.map(readInteger);
  return values.every((value) => value !== undefined) ? values : undefined;
}

/** `0-4:dense, 7:lvsa`. */
function readSchedule(text: string): ScheduledSteps[] | undefined {
  const entries = text.split(",").map((item): ScheduledSteps | undefined => {
    const [, first, last = first, attention] = /^\s*(\d+)(?:-(\d+))?:(dense|lvsa)\s*$/.exec(item) ?? [];
    if (first === undefined) return undefined;
    return {
      steps: [Number(first), Number(last)],
      attention: attention === "dense" ? "dense" : "lvsa",
    };
  });
  return entries.every((entry) => entry !== undefined) ? entries : undefined;
}

function readObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
