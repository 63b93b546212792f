/** Where the golden data lies. Parity tests run every case that they find there. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** One case folder, as `checkpoint/`, `case.json`, `expected.safetensors`, or some of these. */
export interface ReferenceCase {
  readonly name: string;
  /** Absolute path. */
  readonly directory: string;
}

/** `LVSA_REFERENCE_DIR`, or the repository's own lean copy. */
export function referenceDirectory(): string {
  return (
    process.env.LVSA_REFERENCE_DIR ||
    fileURLToPath(new URL("../../../../fixtures/reference", import.meta.url))
  );
}

/** Whether `LVSA_REFERENCE_DIR` names another folder: it may hold less than the repository's copy, and other cases. */
export function isForeignReference(): boolean {
  return Boolean(process.env.LVSA_REFERENCE_DIR);
}

/** The case folders of one family ("wan", "hunyuan", ...), sorted by name; empty where there are none. */
export function referenceCases(family: string): ReferenceCase[] {
  const folder = join(referenceDirectory(), family);
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => ({ name: entry.name, directory: join(folder, entry.name) }))
      .sort((a, b) => a.name.localeCompare(b.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** A JSON file, with the type that the caller knows it to have. */
export function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, "utf8")) as T;
}

/**
 * The repository's own copy must hold cases of everything that is tested. A folder named by `LVSA_REFERENCE_DIR` may
 * hold less: then nothing is compared, with a printed reason.
 * @throws Error when the repository's own copy has none
 */
export function requireCases(cases: readonly unknown[], what = "cases of this kind"): void {
  if (cases.length > 0) return;
  if (!isForeignReference()) throw new Error(`the repository's reference data holds no ${what}`);
  console.warn(`skipped: ${referenceDirectory()} holds no ${what}`);
}
