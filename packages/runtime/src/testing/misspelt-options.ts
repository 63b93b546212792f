/** For tests: options with one letter changed have to be refused, with the name that was meant. */
import { isLvsaError } from "../errors.js";

/** `right` alone has what the call needs; options that only stand in `names` are given with the value undefined. */
export interface OptionsCase {
  readonly names: readonly string[];
  call(options: never): unknown;
  readonly right?: Readonly<Record<string, unknown>>;
}

/** The name with the letter in its middle changed. */
export function misspelt(name: string): string {
  const at = Math.floor(name.length / 2);
  return `${name.slice(0, at)}${name[at] === "x" ? "z" : "x"}${name.slice(at + 1)}`;
}

/** A line for every option that may be misspelt in silence, or whose right name the error does not say. */
export async function silentlyMisspelt({ names, call, right = {} }: OptionsCase): Promise<string[]> {
  const problems: string[] = [];
  for (const name of names) {
    const wrong = misspelt(name);
    const { [name]: value, ...others } = right;
    let error: unknown;
    try {
      await call({ ...others, [wrong]: value } as never);
    } catch (thrown) {
      error = thrown;
    }
    const expected = `unknown option ${wrong}; did you mean ${name}?`;
    if (isLvsaError(error) && error.code === "BAD_OPTION" && error.message.includes(expected)) continue;
    problems.push(`${wrong}: ${error === undefined ? "no error" : String(error)}`);
  }
  return problems;
}
