import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { type DownloadRequest, download, type Version } from "./download.js";
import type { OpenedFile } from "./opfs.js";

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) % 251);
const sum = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

/** A file in memory, with what is there already. */
function fileWith(content: Uint8Array): OpenedFile & { content(): Uint8Array } {
  let data = content.slice();
  return {
    get size() {
      return data.length;
    },
    content: () => data,
    async write(part, at) {
      const next = new Uint8Array(Math.max(data.length, at + part.length));
      next.set(data);
      next.set(part, at);
      data = next;
    },
    read: async (at, length) => data.slice(at, at + length),
    async truncate(size) {
      data = data.slice(0, size);
    },
    flush: async () => undefined,
    close: async () => undefined,
  };
}

interface ServerOptions {
  readonly content?: Uint8Array;
  readonly etag?: string;
  /** Breaks the connection after so many bytes, once for each number. */
  readonly cuts?: number[];
  readonly ranges?: boolean;
}

/** A server, and where each request began. */
function server({ content = bytes, etag = '"1"', cuts = [], ranges = true }: ServerOptions) {
  const from: number[] = [];
  const fetch = async (_url: unknown, init?: RequestInit): Promise<Response> => {
    const asked = /bytes=(\d+)-/.exec(new Headers(init?.headers).get("range") ?? "");
    const start = ranges && asked ? Number(asked[1]) : 0;
    from.push(start);
    if (start >= content.length) return new Response(null, { status: 416 });
    const cut = cuts.shift();
    const rest = content.slice(start);
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (cut !== undefined && sent >= cut) return controller.error(new TypeError("network error"));
        if (sent >= rest.length) return controller.close();
        controller.enqueue(rest.slice(sent, sent + 100));
        sent += 100;
      },
    });
    const headers: Record<string, string> = { etag, "content-length": String(rest.length) };
    if (start > 0) headers["content-range"] = `bytes ${start}-${content.length - 1}/${content.length}`;
    return new Response(body, { status: start > 0 ? 206 : 200, headers });
  };
  return { fetch: fetch as typeof globalThis.fetch, from };
}

const version: Version = { etag: '"1"', modified: null, total: 1000 };
const ask = (file: OpenedFile, options: ServerOptions & Partial<DownloadRequest>) => {
  const { fetch, from } = server(options);
  const versions: Version[] = [];
  const request: DownloadRequest = {
    url: "https://example.org/model/weights.safetensors",
    file,
    version: undefined,
    fetch,
    retryDelay: 0,
    onVersion: async (seen) => void versions.push(seen),
    ...(options.version ? { version: options.version } : {}),
    ...(options.sha256 ? { sha256: options.sha256 } : {}),
    ...(options.size ? { size: options.size } : {}),
    ...(options.signal ? { signal: options.signal } : {}),
  };
  return { done: download(request), from, versions };
};

it("brings a file, its size and its checksum", async () => {
  const file = fileWith(new Uint8Array());
  const { done, versions } = ask(file, { sha256: sum(bytes).toUpperCase(), size: 1000 });
  expect(await done).toEqual({ size: 1000, sha256: sum(bytes) });
  expect(file.content()).toEqual(bytes);
  expect(versions).toEqual([version]);
});

it("goes on where an earlier download ended, with the checksum of the whole", async () => {
  const file = fileWith(bytes.slice(0, 400));
  const { done, from, versions } = ask(file, { version });
  expect(await done).toEqual({ size: 1000, sha256: sum(bytes) });
  expect([from, versions]).toEqual([[400], []]);
  expect(file.content()).toEqual(bytes);
});

it("does not ask for a file that came whole, and fetches one anew that is as long and another", async () => {
  const listed = { version, size: 1000, sha256: sum(bytes) };
  const whole = ask(fileWith(bytes.slice()), listed);
  expect(await whole.done).toEqual({ size: 1000, sha256: sum(bytes) });
  expect(whole.from).toEqual([]);
  const file = fileWith(new Uint8Array(1000).fill(9));
  const broken = ask(file, listed);
  expect((await broken.done)?.sha256).toBe(sum(bytes));
  expect(broken.from).toEqual([0]);
  expect(file.content()).toEqual(bytes);
});

it("goes on where the connection broke, and gives up when nothing moves any more", async () => {
  const file = fileWith(new Uint8Array());
  const { done, from } = ask(file, { cuts: [300, 200] });
  expect((await done)?.sha256).toBe(sum(bytes));
  expect(from).toEqual([0, 300, 500]);
  const never = ask(fileWith(new Uint8Array()), { cuts: new Array(20).fill(0) });
  await expect(never.done).rejects.toMatchObject({ code: "DOWNLOAD_FAILED" });
  expect(never.from.length).toBe(5);
});

it("begins anew when the file is another one now, or the server knows no ranges", async () => {
  const changed = fileWith(new Uint8Array(400).fill(9));
  const other = ask(changed, { version, etag: '"2"' });
  expect((await other.done)?.sha256).toBe(sum(bytes));
  expect(changed.content()).toEqual(bytes);
  const whole = ask(fileWith(bytes.slice(0, 400)), { version, ranges: false });
  expect((await whole.done)?.sha256).toBe(sum(bytes));
  const shorter = fileWith(new Uint8Array(2000).fill(9));
  const shrunk = ask(shorter, { version });
  expect((await shrunk.done)?.size).toBe(1000);
  expect(shorter.content()).toEqual(bytes);
});

it("refuses what is not as the list says", async () => {
  const wrong = ask(fileWith(new Uint8Array()), { sha256: "0".repeat(64) });
  await expect(wrong.done).rejects.toMatchObject({ code: "CHECKSUM" });
  const longer = ask(fileWith(new Uint8Array()), { size: 999 });
  await expect(longer.done).rejects.toMatchObject({ code: "CHECKSUM" });
});

it("takes a page of the host's for a file that is not there", async () => {
  const page = async () => new Response("<!doctype html>", { headers: { "content-type": "text/html" } });
  const file = fileWith(new Uint8Array());
  const {
    onVersion,
    url,
    version: none,
  } = { onVersion: async () => undefined, url: "https://x/a.jinja", version: undefined };
  expect(await download({ url, file, version: none, onVersion, fetch: page })).toBeUndefined();
  const absent = async () => new Response("", { status: 404 });
  expect(await download({ url, file, version: none, onVersion, fetch: absent })).toBeUndefined();
});

it("stops when it is told to", async () => {
  const controller = new AbortController();
  controller.abort();
  const { done } = ask(fileWith(new Uint8Array()), { signal: controller.signal });
  await expect(done).rejects.toMatchObject({ code: "ABORTED" });
});
