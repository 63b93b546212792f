import { defineConfig } from "tsup";

export default defineConfig({
  entry: ["src/index.ts", "src/errors.ts", "src/node.ts", "src/testing.ts"],
  format: "esm",
  target: "node20",
  sourcemap: true,
  // Declarations come from `tsc -b`.
  dts: false,
});
