/**
 * Options of a call, checked by a table of their kinds: what is misspelt or of another kind is said, never ignored. For packages
 * and pages that do without schemas; `checkOptions` is for options whose values need more.
 */
import { UsageError } from "./lvsa-error.js";
import { nearestName } from "./nearest-name.js";

/**
 * What `typeof` says of an option's values, `array`, or `any` where values are checked elsewhere; several with `|` between
 * them, as `string|object`. A list: the words that it may be. With `method`: an object of the platform, told by what it can.
 */
export type OptionKind = string | readonly string[] | { readonly method: string; readonly named: string };

/** A row for each option: one that is added without a row does not compile. */
export type OptionKinds<Options> = { readonly [Name in keyof Required<Options>]: OptionKind };

/**
 * @param what whose options they are, for the error
 * @param others unknown options: `refused`, or only `misspelt` ones, where the options may be a larger object, such as a
 *   generation's result
 * @throws UsageError `BAD_OPTION` that names every option that is unknown, with the name that was probably meant, or of another
 *   kind
 */
export function checkOptionKinds<Options extends object>(
  kinds: OptionKinds<Options>,
  options: Options,
  what: string,
  others: "refused" | "misspelt" = "refused",
): void {
  const names = Object.keys(kinds);
  if (kindOf(options) !== "object") throw badOptions(["options: expected an object"], what, names);
  const problems = Object.entries(options).flatMap(([name, value]) => {
    if (Object.hasOwn(kinds, name)) {
      const expected = kinds[name as keyof Options];
      return isOfKind(value, expected) ? [] : [`${name}: expected ${words(expected)}`];
    }
    return others === "refused" || nearestName(name, names) ? [unknownOption(name, names)] : [];
  });
  if (problems.length > 0) throw badOptions(problems, what, names);
}

/** What is wrong with a name that is no option. */
export function unknownOption(name: string, names: readonly string[]): string {
  const nearest = nearestName(name, names);
  return `unknown option ${name}${nearest ? `; did you mean ${nearest}?` : ""}`;
}

export function badOptions(problems: readonly string[], what: string, names: readonly string[]): UsageError {
  return new UsageError("BAD_OPTION", problems.join("; "), {
    fix: `Options of ${what}: ${names.join(", ")}.`,
  });
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

/** An option that is undefined is not given; NaN is no number. */
function isOfKind(value: unknown, kind: OptionKind): boolean {
  if (value === undefined || kind === "any") return true;
  if (typeof kind !== "string")
    return "method" in kind ? isFunctionOf(value, kind.method) : kind.includes(value as string);
  return !Number.isNaN(value) && kind.split("|").includes(kindOf(value));
}

function isFunctionOf(value: unknown, name: string): boolean {
  return typeof (value as Record<string, unknown> | null)?.[name] === "function";
}

function words(kind: OptionKind): string {
  if (typeof kind !== "string" && "method" in kind) return kind.named;
  if (typeof kind !== "string") return kind.join(", ").replace(/, ([^,]*)$/, " or $1");
  const named = kind.split("|").map((one) => NAMED[one] ?? `a ${one}`);
  return named.join(" or ");
}

const NAMED: Readonly<Record<string, string>> = {
  boolean: "true or false",
  string: "a text",
  object: "an object",
  array: "a list",
  bigint: "a whole number",
};
