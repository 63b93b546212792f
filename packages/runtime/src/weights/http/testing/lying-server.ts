/** A server for tests that can do wrong whatever a server can do wrong. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface LyingServer {
  /** `http://127.0.0.1:<port>` */
  readonly base: string;
  /** The same server under another origin. */
  readonly otherHost: string;
  /** Answers every request; set per test. */
  handler: Handler;
  /** Requests so far. */
  requests: number;
  close(): void;
}

export async function lyingServer(): Promise<LyingServer> {
  const server: Server = createServer((request, response) => {
    lying.requests++;
    lying.handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const lying: LyingServer = {
    base: `http://127.0.0.1:${port}`,
    otherHost: `http://localhost:${port}`,
    handler: (_, response) => response.writeHead(404).end(),
    requests: 0,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
  return lying;
}

/** First and last byte asked for. */
export function rangeOf(request: IncomingMessage): readonly [first: number, last: number] | undefined {
  const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "");
  return range ? [Number(range[1]), Number(range[2])] : undefined;
}

/** Answers as a good server does. */
export function serve(
  file: Uint8Array,
  headers: Record<string, string> = {},
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const range = rangeOf(request);
    if (!range) return void response.writeHead(200, { "content-length": file.length, ...headers }).end(file);
    const [first, last] = [range[0], Math.min(range[1], file.length - 1)];
    if (first >= file.length)
      return void response.writeHead(416, { "content-range": `bytes */${file.length}` }).end();
    const body = file.subarray(first, last + 1);
    response.writeHead(206, {
      "content-range": `bytes ${first}-${last}/${file.length}`,
      "content-length": body.length,
      ...headers,
    });
    return void response.end(body);
  };
}
