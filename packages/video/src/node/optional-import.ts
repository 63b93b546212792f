/** Packages that users may or may not have installed. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/**
 * Imports a package from where this one stands or from the working folder; nothing when it is in neither, or can not
 * be loaded there (a native package built for another platform).
 */
export async function importIfInstalled<T>(specifier: string): Promise<T | undefined> {
  try {
    return (await import(specifier)) as T;
  } catch {
    try {
      // Strict package managers hide from us what the user's own project has.
      const resolved = createRequire(join(process.cwd(), "package.json")).resolve(specifier);
      return (await import(pathToFileURL(resolved).href)) as T;
    } catch {
      return undefined;
    }
  }
}
