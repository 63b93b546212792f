/** Four test projects: `unit` needs no GPU, `gpu` any adapter, `parity` the reference data, `e2e` the built CLI. */
import { availableParallelism } from "node:os";
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

// Limits are against tests that hang, never against machines that are slow: the longest takes a minute on two cores.
const patience = {
  testTimeout: 600_000,
  hookTimeout: 600_000,
  expect: { poll: { timeout: 60_000 } },
} as const;

// Two files at a time: a software adapter compiles shaders on one core, and programs wait for files and each other. More
// would ask for the memory of more devices. `VITEST_MAX_WORKERS=1` is one at a time.
const gpu = { pool: "forks", maxWorkers: 2, ...patience } as const;
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
          // Vitest leaves one core free, of two a half.
          maxWorkers: Math.max(2, availableParallelism() - 1),
          ...patience,
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
