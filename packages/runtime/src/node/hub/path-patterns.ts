/** Which of a repository's files are wanted: patterns as `huggingface_hub` has them, each of which fits some file. */
import { quoted } from "../../printable.js";

export interface PathChoice {
  /** Only paths that one of these patterns matches. Default: all. */
  readonly include?: readonly string[];
  /** No paths that one of these matches. Default: none. */
  readonly exclude?: readonly string[];
}

/** Whether all files are wanted. */
export function isWhole({ include = [], exclude = [] }: PathChoice): boolean {
  return include.length === 0 && exclude.length === 0;
}

/** The wanted ones of `items`. */
export function choosePaths<Item extends { readonly path: string }>(
  items: readonly Item[],
  { include = [], exclude = [] }: PathChoice,
): Item[] {
  const [wanted, left] = [include.map(matcher), exclude.map(matcher)];
  return items.filter(
    ({ path }) =>
      (wanted.length === 0 || wanted.some((matches) => matches(path))) &&
      !left.some((matches) => matches(path)),
  );
}

/** The patterns that fit no path, with the option that each stands in, for messages. */
export function uselessPatterns(
  items: readonly { readonly path: string }[],
  { include = [], exclude = [] }: PathChoice,
): string[] {
  const none = (pattern: string) => {
    const matches = matcher(pattern);
    return !items.some(({ path }) => matches(path));
  };
  return [
    ...include.filter(none).map((pattern) => `include ${quoted(pattern)}`),
    ...exclude.filter(none).map((pattern) => `exclude ${quoted(pattern)}`),
  ];
}

/** `*`, `?` and `[…]` of the shell, over slashes too; a folder's name with a slash stands for what is in it. */
function matcher(pattern: string): (path: string) => boolean {
  const whole = pattern.endsWith("/") ? `${pattern}*` : pattern;
  let source = "";
  for (let at = 0; at < whole.length; ) {
    const set = /^\[(!?)(\]?[^\]]*)\]/.exec(whole.slice(at));
    if (set) {
      source += `[${set[1] ? "^" : ""}${set[2]!.replace(/[\\\]^[]/g, "\\$&")}]`;
      at += set[0].length;
      continue;
    }
    const one = whole[at++]!;
    // Stars side by side are one: nothing to go back to between them.
    if (one === "*") source += source.endsWith("[^]*?") ? "" : "[^]*?";
    else source += one === "?" ? "[^]" : one.replace(/[.+?^${}()|[\]\\]/g, "\\$&");
  }
  try {
    const compiled = new RegExp(`^${source}$`, "u");
    return (path) => compiled.test(path);
  } catch {
    // A range that runs backwards stands for nothing.
    return () => false;
  }
}
