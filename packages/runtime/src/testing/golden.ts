/** Golden files that hold many small cases as JSON: `{ description, cases: [{ input, output }] }`. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readJson, referenceDirectory } from "./reference.js";

export interface GoldenCase<Input, Output> {
  readonly input: Input;
  readonly output: Output;
}

/**
 * A JSON file below the reference folder, for example `goldenJson("pattern/auto_kfi.json")`. A folder named by
 * `LVSA_REFERENCE_DIR` may lack it: then undefined, with a printed reason. The repository's own copy may not.
 */
export function goldenJson<T>(file: string): T | undefined {
  const path = join(referenceDirectory(), file);
  if (existsSync(path)) return readJson<T>(path);
  if (!process.env.LVSA_REFERENCE_DIR)
    throw new Error(`${path} is missing from the repository's reference data.`);
  console.warn(`skipped: ${file} is not in ${referenceDirectory()}`);
  return undefined;
}

/** The cases of one file; empty where `goldenJson` finds none. */
export function goldenCases<Input, Output>(file: string): readonly GoldenCase<Input, Output>[] {
  return goldenJson<{ cases: GoldenCase<Input, Output>[] }>(file)?.cases ?? [];
}
