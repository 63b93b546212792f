/** Tests read the packages' sources: each gets the version of its own package.json, as the build puts it in. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Plugin } from "vitest/config";

/** Version in the package.json nearest above a file. */
function versionAbove(file: string, root: string): string {
  for (let folder = dirname(file); folder.length >= root.length - 1; folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest))
      return (JSON.parse(readFileSync(manifest, "utf8")) as { version: string }).version;
  }
  throw new Error(`no package.json above ${file}`);
}

export function packageVersion(root: string): Plugin {
  return {
    name: "package-version",
    enforce: "pre",
    transform(code, id) {
      if (!/[\\/]version\.ts(\?|$)/.test(id)) return undefined;
      const version = JSON.stringify(versionAbove(id, root));
      return { code: code.replace("= __PACKAGE_VERSION__", `= ${version}`), map: null };
    },
  };
}
