import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { modelFiles } from "./build/model-files.js";
import { shell } from "./build/shell.js";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

export default defineConfig({
  // Relative addresses: any host, any folder.
  base: "./",
  plugins: [modelFiles(path("../../packages/demo-wan/model")), shell()],
  worker: { format: "es" },
  build: {
    target: "es2023",
    // What is inlined as data would need an exception in the security policy.
    assetsInlineLimit: 0,
    rollupOptions: {
      input: { index: path("index.html"), sw: path("src/sw.ts") },
      output: { entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
});
