/**
 * Patterns for names of modules, as PEFT's `rank_pattern` and `alpha_pattern` have them: regular expressions that fit
 * the whole name or what follows one of its dots; the first that fits counts. Source: `get_pattern_key` of peft.
 * A file's patterns are not trusted: they are matched in time proportional to the name.
 */
import { ConfigError, quoted } from "@lvsa/runtime";

export interface NamePattern<T> {
  readonly value: T;
  matches(module: string): boolean;
}

const MAX_PATTERNS = 10_000;
/** Of those that are no plain names: one takes up to a tenth of a second for all modules of a model. */
const MAX_EXPRESSIONS = 100;
const MAX_LENGTH = 500;
/** A name, or one from the first character on: what diffusers writes, once for each module. */
const PLAIN = /^\^?(?:[\w.-]|\\\.)*$/;

/**
 * @param setting which it is, for errors
 * @throws ConfigError `BAD_CONFIG` naming a pattern that is none, or needs lookaround or references back
 */
export async function compileNamePatterns<T>(
  values: Readonly<Record<string, T>>,
  setting: string,
  file: string,
): Promise<NamePattern<T>[]> {
  const entries = Object.entries(values);
  const refuse = (problem: string, cause?: unknown) =>
    new ConfigError("BAD_CONFIG", `lora_adapter_metadata: ${setting}: ${problem}`, {
      where: file,
      fix: "Write the names of modules, or regular expressions without lookaround and references back.",
      cause,
    });
  const expressions = entries.filter(([text]) => !PLAIN.test(text)).length;
  if (entries.length > MAX_PATTERNS || expressions > MAX_EXPRESSIONS) {
    const counts = `${entries.length} patterns, ${expressions} of them no plain names`;
    throw refuse(`${counts}; at most ${MAX_PATTERNS} run, and ${MAX_EXPRESSIONS} that are none`);
  }
  // Large, and few files need it.
  const { RE2JS } = expressions === 0 ? { RE2JS: undefined } : await import("re2js");
  return entries.map(([text, value]) => {
    if (text.length > MAX_LENGTH) throw refuse(`${quoted(text)} is longer than ${MAX_LENGTH} characters`);
    if (PLAIN.test(text)) return { value, matches: plainPattern(text) };
    try {
      const compiled = RE2JS!.compile(`(?:.*\\.)?(?:${text})`);
      return { value, matches: (module) => compiled.matches(module) };
    } catch (cause) {
      throw refuse(`${quoted(text, 200)} can not be matched`, cause);
    }
  });
}

/** A dot stands for any character, as in the regular expression, unless a backslash stands before it. */
function plainPattern(text: string): (module: string) => boolean {
  const isWhole = text.startsWith("^");
  const characters = text.slice(isWhole ? 1 : 0).match(/\\\.|./gs) ?? [];
  return (module) => {
    const start = module.length - characters.length;
    if (start < 0 || (start > 0 && (isWhole || module[start - 1] !== "."))) return false;
    return characters.every((one, i) => one === "." || one.at(-1) === module[start + i]);
  };
}
