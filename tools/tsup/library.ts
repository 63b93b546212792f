/** How packages are compiled. The version of the package's package.json is put in. */
import { readFileSync } from "node:fs";
import { defineConfig, type Options } from "tsup";

interface Manifest {
  readonly version: string;
  readonly optionalDependencies?: Record<string, string>;
}

const manifest = JSON.parse(readFileSync("package.json", "utf8")) as Manifest;

const common = {
  format: "esm" as const,
  target: "node20",
  sourcemap: true,
  define: { __PACKAGE_VERSION__: JSON.stringify(manifest.version) },
  // What a removed source left behind would be packed. `tsc -b` writes the declarations afterwards: all of them,
  // because its record goes too.
  clean: [".tsbuildinfo"],
  dts: false,
} satisfies Options;

/**
 * A library: one file for each source. A bundler then drops every file that a program does not reach (`sideEffects:
 * false`), also where it could not tell that what a file does when it is loaded has no effect.
 */
export function library() {
  return defineConfig({
    ...common,
    entry: [
      "src/**/*.ts",
      "!src/**/*.test.ts",
      "!src/**/*.reference.ts",
      "!src/**/__fixtures__/**",
      "!src/testing-support/**",
    ],
    bundle: false,
  });
}

/** A program: one file, which starts faster. Dependencies of any kind stay outside. */
export function program(entry: string[]) {
  return defineConfig({ ...common, entry, external: Object.keys(manifest.optionalDependencies ?? {}) });
}
