import { defineConfig } from "tsup";

export default defineConfig({
  entry: [
    "src/index.ts",
    "src/wan.ts",
    "src/hunyuan.ts",
    "src/cogvideox.ts",
    "src/cosmos3.ts",
    "src/catalog.ts",
    "src/rehearsal.ts",
    "src/node.ts",
  ],
  format: "esm",
  target: "node20",
  sourcemap: true,
  // Declarations come from `tsc -b`.
  dts: false,
});
