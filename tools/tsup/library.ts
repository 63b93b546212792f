/** How every package is bundled: one ES module per entry, the version of its package.json put in. */
import { readFileSync } from "node:fs";
import { defineConfig } from "tsup";

/** @param entry entry files, relative to the package's folder, where tsup runs */
export function library(entry: string[]) {
  const manifest = JSON.parse(readFileSync("package.json", "utf8")) as {
    version: string;
    optionalDependencies?: Record<string, string>;
  };
  return defineConfig({
    entry,
    format: "esm",
    target: "node20",
    sourcemap: true,
    // Dependencies and peers stay outside by themselves.
    external: Object.keys(manifest.optionalDependencies ?? {}),
    define: { __PACKAGE_VERSION__: JSON.stringify(manifest.version) },
    // What a removed source left behind would be packed. `tsc -b` writes the declarations afterwards: all of them,
    // because its record goes too.
    clean: [".tsbuildinfo"],
    dts: false,
  });
}
