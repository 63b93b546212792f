/**
 * Entry `@lvsa/runtime/node-import`: packages that an application may or may not have installed.
 *
 * They are looked for where our own package stands and where the application's entry stands, never from the working
 * folder: a program that is started inside a downloaded folder must not run that folder's code.
 */
import { realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

/** What came of it: the module, or why there is none. */
export type OptionalModule<T> =
  | { readonly module: T }
  | { readonly module: undefined; readonly cause: unknown };

/**
 * Imports a package if it is installed.
 *
 * @param specifier the package, or an entry of it
 * @param own imports it from the package that asks, e.g. `() => import("zod")`
 * @returns the module; or the reason, which is that of the application's copy where it has one that does not load
 */
export async function importOptional<T>(
  specifier: string,
  own: () => Promise<unknown>,
): Promise<OptionalModule<T>> {
  try {
    return { module: (await own()) as T };
  } catch (cause) {
    const path = resolveFromApplication(specifier);
    if (path === undefined) return { module: undefined, cause };
    try {
      return { module: (await import(/* @vite-ignore */ pathToFileURL(path).href)) as T };
    } catch (applicationCause) {
      return { module: undefined, cause: applicationCause };
    }
  }
}

/**
 * File of a package as the application's entry would find it: strict package managers hide from us what the
 * application itself depends on. Nothing for a program without an entry file (`node -e`, the prompt).
 */
export function resolveFromApplication(specifier: string): string | undefined {
  const entry = process.argv[1];
  if (entry === undefined) return undefined;
  try {
    // As Node does with the main module: commands in node_modules/.bin are links.
    return createRequire(realpathSync(entry)).resolve(specifier);
  } catch {
    return undefined;
  }
}
