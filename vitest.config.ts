/** Four test projects: `unit` needs no GPU, `gpu` any adapter, `parity` the reference data, `e2e` the built CLI. */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { packageVersion } from "./tools/vitest/package-version.js";

const root = fileURLToPath(new URL(".", import.meta.url));

// Tests read the packages' sources, so that nothing has to be built first (except for `e2e`).
const alias = [
  { find: "@lvsa/server", replacement: `${root}apps/server/src/index.ts` },
  { find: /^@lvsa\/([a-z0-9-]+)$/, replacement: `${root}packages/$1/src/index.ts` },
  { find: /^@lvsa\/([a-z0-9-]+)\/(.+)$/, replacement: `${root}packages/$1/src/$2.ts` },
];

// One file at a time: every GPU file owns a device, and software adapters already use all cores.
const gpu = {
  pool: "forks",
  fileParallelism: false,
  maxWorkers: 1,
  testTimeout: 300_000,
  hookTimeout: 300_000,
} as const;
const where = (suffix: string) => [`{packages,apps,examples,benchmarks,tools}/**/*.${suffix}.ts`];
const exclude = ["**/node_modules/**", "**/dist/**"];

const plugins = [packageVersion(root)];

export default defineConfig({
  resolve: { alias },
  plugins,
  test: {
    projects: [
      {
        resolve: { alias },
        plugins,
        test: {
          name: "unit",
          include: where("test"),
          exclude: [...exclude, "**/*.gpu.test.ts", "**/*.parity.test.ts", "**/*.e2e.test.ts"],
          testTimeout: 120_000,
        },
      },
      { resolve: { alias }, plugins, test: { name: "gpu", include: where("gpu.test"), exclude, ...gpu } },
      {
        resolve: { alias },
        plugins,
        test: { name: "parity", include: where("parity.test"), exclude, ...gpu },
      },
      { resolve: { alias }, plugins, test: { name: "e2e", include: where("e2e.test"), exclude, ...gpu } },
    ],
  },
});
