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
const MAX_LENGTH = 500;
/** A name, or one from the first character on: what diffusers writes, once for each module. */
const PLAIN = /^\^?[\w.-]*$/;

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
  if (entries.length > MAX_PATTERNS) throw refuse(`${entries.length} patterns, at most ${MAX_PATTERNS} run`);
  // Large, and few files need it.
  const { RE2JS } = entries.every(([text]) => PLAIN.test(text))
    ? { RE2JS: undefined }
    : await import("re2js");
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

/** A dot stands for any character, as in the regular expression. */
function plainPattern(text: string): (module: string) => boolean {
  const isWhole = text.startsWith("^");
  const name = isWhole ? text.slice(1) : text;
  return (module) => {
    const start = module.length - name.length;
    if (start < 0 || (start > 0 && (isWhole || module[start - 1] !== "."))) return false;
    for (let i = 0; i < name.length; i++) if (name[i] !== "." && name[i] !== module[start + i]) return false;
    return true;
  };
}
