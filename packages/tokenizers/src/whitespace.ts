/** White space as the libraries that made the checkpoints see it; JavaScript's own `\s` and `trim` differ. */

/** Unicode's White_Space property: Rust's `char::is_whitespace`, `\s` of Python's `regex` module. */
export const WHITE_SPACE = "\\p{White_Space}";

export function stripStart(text: string): string {
  return text.replace(new RegExp(`^${WHITE_SPACE}+`, "u"), "");
}

export function stripEnd(text: string): string {
  // Backwards by hand: an anchored `+` takes quadratic time on long runs of spaces.
  let end = text.length;
  const space = new RegExp(WHITE_SPACE, "u");
  while (end > 0 && space.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}
