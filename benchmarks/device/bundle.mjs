// Each program of this folder as one file that needs nothing but Node and `webgpu`: node benchmarks/device/bundle.mjs OUTDIR
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, "../..");
const out = process.argv[2];
if (!out) throw new Error("usage: node benchmarks/device/bundle.mjs OUTDIR");

/** Packages as their sources, versions filled in, and `vitest` as the small runner beside this file. */
const sources = {
  name: "sources",
  setup(b) {
    b.onResolve({ filter: /^@lvsa\// }, ({ path }) => {
      const [name, ...entry] = path.slice("@lvsa/".length).split("/");
      const folder = name === "server" ? "apps" : "packages";
      const file = join(root, folder, name, "src", `${entry.join("/") || "index"}.ts`);
      return { path: file };
    });
    b.onResolve({ filter: /^vitest$/ }, () => ({ path: join(here, "test-runner.ts") }));
    // vitest's own parts lie beside vitest.
    const besideVitest = createRequire(
      createRequire(join(root, "package.json")).resolve("vitest/package.json"),
    );
    b.onResolve({ filter: /^@vitest\/(expect|spy)$/ }, ({ path }) => ({ path: besideVitest.resolve(path) }));
    b.onResolve({ filter: /^gpu-test-files$/ }, ({ path }) => ({ path, namespace: "files" }));
    b.onLoad({ filter: /.*/, namespace: "files" }, () => {
      const files = ["packages/runtime/src", "packages/core/src", "packages/diffusion/src"].flatMap(
        (folder) =>
          readdirSync(join(root, folder), { recursive: true })
            .filter((file) =>
              file.endsWith(folder.includes("diffusion") ? ".parity.test.ts" : ".gpu.test.ts"),
            )
            .map((file) => `${folder}/${file.replaceAll("\\", "/")}`)
            .sort(),
      );
      const lines = files.map(
        (file) => `${JSON.stringify(file)}: () => import(${JSON.stringify(join(root, file))}),`,
      );
      return {
        contents: `export const GPU_TESTS = {\n${lines.join("\n")}\n};`,
        resolveDir: root,
        loader: "js",
      };
    });
    b.onLoad({ filter: /[\\/]version\.ts$/ }, ({ path }) => {
      const { version } = JSON.parse(readFileSync(join(dirname(path), "../package.json"), "utf8"));
      return {
        contents: readFileSync(path, "utf8").replace("= __PACKAGE_VERSION__", `= ${JSON.stringify(version)}`),
        loader: "ts",
      };
    });
  },
};

await build({
  entryPoints: ["kernels", "choices", "model", "ranks", "tiny", "gpu-tests"].map((name) =>
    join(here, `${name}.ts`),
  ),
  outdir: resolve(out),
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  external: ["webgpu", "playwright-core", "@duckdb/*"],
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
  plugins: [sources],
  logLevel: "warning",
});
