import { defineConfig } from "tsup";

export default defineConfig({
  entry: ["src/main.ts"],
  format: "esm",
  target: "node20",
  sourcemap: true,
  // Declarations come from `tsc -b`.
  dts: false,
  // Optional dependencies stay outside, too.
  external: [/^@lvsa\//, "@libav.js/variant-webm-vp9"],
});
