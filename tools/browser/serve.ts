/** A server of static files as hosts are, and one that can stop in the middle of a file. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
};

export interface Served {
  readonly address: string;
  /** Of every request for a file of the model: its path, and where its range begins. */
  readonly requests: { readonly path: string; readonly from: number }[];
  /** Answers for this path stand still after half of the file, until it is undefined again. */
  stallAt: string | undefined;
  close(): void;
}

export async function serveFolder(folder: string): Promise<Served> {
  const server: Server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url!, "http://x").pathname);
    const file = join(folder, normalize(path.endsWith("/") ? `${path}index.html` : path));
    const found = await stat(file).catch(() => undefined);
    // As a host of applications: every address that is no file is answered with the page.
    if (!found?.isFile()) {
      response.setHeader("content-type", "text/html");
      return void createReadStream(join(folder, "index.html")).pipe(response);
    }
    const range = /^bytes=(\d+)-(\d+)?$/.exec(request.headers.range ?? "");
    const start = Number(range?.[1] ?? 0);
    const end = Math.min(Number(range?.[2] ?? found.size - 1), found.size - 1);
    if (path.startsWith("/model/")) served.requests.push({ path, from: start });
    if (range && start >= found.size)
      return void response.writeHead(416, { "content-range": `bytes */${found.size}` }).end();
    response.writeHead(range ? 206 : 200, {
      "content-type": TYPES[extname(file)] ?? "application/octet-stream",
      "content-length": end - start + 1,
      etag: `"${found.size}-${found.mtimeMs}"`,
      ...(range ? { "content-range": `bytes ${start}-${end}/${found.size}` } : {}),
    });
    if (found.size === 0) return void response.end();
    const stalls = served.stallAt === path;
    const half = Math.floor(found.size / 2);
    if (stalls && start > half) return void response.flushHeaders();
    const stream = createReadStream(file, { start, end: stalls ? half : end });
    stream.pipe(response, { end: !stalls });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const served: Served = {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    requests: [],
    stallAt: undefined,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return served;
}
