/**
 * Text from outside (prompts, files, paths, variables) on its way to a terminal or into a message. A terminal
 * obeys control characters: a class name in a stranger's checkpoint could clear the screen or rename the window.
 */

// C0 and C1 controls but tab and line feed, line and paragraph separators, marks that turn the direction of
// writing, and surrogates without their partner.
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu;

/** The text with every character that a terminal would obey written as `\u001b`. Tabs and line feeds stay. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A name from a file inside of a sentence: printable, on the sentence's line, and at most `limit` characters long. */
export function onOneLine(name: string, limit = 200): string {
  const cut = name.length > limit ? `${name.slice(0, limit).replace(/[\ud800-\udbff]$/, "")}…` : name;
  return printable(cut).replaceAll("\n", "\\n").replaceAll("\t", "\\t");
}

/** A value from a file, as JSON on one line, printable and at most about `limit` characters long. */
export function quoted(value: unknown, limit = 80): string {
  // The whole text may be huge: cut before it is searched, and a surrogate pair not in its middle.
  const json =
    (typeof value === "string" ? JSON.stringify(value.slice(0, limit * 2)) : toJson(value)) ?? "undefined";
  const text = printable(json);
  return text.length > limit ? `${text.slice(0, limit).replace(/[\ud800-\udbff]$/, "")}…` : text;
}

function toJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return String(value);
  }
}
