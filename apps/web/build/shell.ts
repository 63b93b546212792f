/** What makes the built page strict and independent of the network: its security policy, and the service worker's list. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "media-src 'self' blob:",
  "manifest-src 'self'",
  // Models may lie on other hosts.
  "connect-src 'self' https: http://localhost:* http://127.0.0.1:*",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** In the service worker's text, replaced by the list of the page's own files. */
const PLACE = "__SHELL_FILES__";

export function shell(): Plugin {
  let publicFolder = "";
  return {
    configResolved: ({ publicDir }) => {
      publicFolder = publicDir;
    },
    name: "lvsa:shell",
    apply: "build",
    transformIndexHtml: () => [
      {
        tag: "meta",
        attrs: { "http-equiv": "Content-Security-Policy", content: POLICY },
        injectTo: "head-prepend",
      },
    ],
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        const worker = bundle["sw.js"];
        if (worker?.type !== "chunk") throw new Error("the service worker was not built as sw.js");
        const files = Object.keys(bundle).filter((file) => file !== "sw.js" && !file.startsWith("model/"));
        const version = createHash("sha256");
        const copied = readdirSync(publicFolder);
        for (const file of copied) version.update(file).update(readFileSync(join(publicFolder, file)));
        for (const file of files) {
          const part = bundle[file]!;
          version.update(file).update(part.type === "chunk" ? part.code : part.source);
        }
        const list = {
          version: version.digest("hex").slice(0, 16),
          files: ["./", ...copied, ...files.filter((file) => file !== "index.html")],
        };
        if (!worker.code.includes(PLACE))
          throw new Error(`the service worker has no place for its list (${PLACE})`);
        worker.code = worker.code.replace(PLACE, JSON.stringify(list));
      },
    },
  };
}
