/** The demo model as part of the page: its folder under `model/`, with the list that a store checks downloads with. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

export function modelFiles(folder: string): Plugin {
  const paths = () =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .map((path) => path.replaceAll("\\", "/"))
      .filter((path) => statSync(join(folder, path)).isFile())
      .sort();
  const list = () =>
    JSON.stringify(
      paths().map((path) => {
        const bytes = readFileSync(join(folder, path));
        return { path, size: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
      }),
    );
  return {
    name: "lvsa:model-files",
    generateBundle() {
      for (const path of paths()) {
        this.emitFile({ type: "asset", fileName: `model/${path}`, source: readFileSync(join(folder, path)) });
      }
      this.emitFile({ type: "asset", fileName: "model/files.json", source: list() });
    },
    configureServer(server) {
      server.middlewares.use("/model", (request, response, next) => {
        const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname.slice(1));
        if (path === "files.json") response.setHeader("content-type", "application/json").end(list());
        else if (paths().includes(path)) response.end(readFileSync(join(folder, path)));
        else next();
      });
    },
  };
}
