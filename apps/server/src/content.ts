/** Files by range, as players ask for them. */
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { HttpError } from "./http-error.js";

/** @throws HttpError 404 when the file is gone, 416 for a range outside of it */
export async function fileResponse(
  path: string,
  request: Request,
  type: string,
  name: string,
): Promise<Response> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) throw new HttpError(404, "not_found", "The video's file is not there any more.");
  const { size } = found;
  const etag = `"${size.toString(16)}-${Math.floor(found.mtimeMs).toString(16)}"`;
  const headers: Record<string, string> = {
    "content-type": type,
    "content-disposition": `inline; filename="${name}"`,
    "accept-ranges": "bytes",
    "cache-control": "private, no-cache",
    etag,
  };
  if (request.headers.get("if-none-match") === etag) return new Response(null, { status: 304, headers });
  const condition = request.headers.get("if-range");
  const asked = condition === null || condition === etag ? request.headers.get("range") : null;
  const range = asked === null ? undefined : parseRange(asked, size);
  if (range === "outside")
    throw new HttpError(416, "bad_range", `The video has ${size} bytes.`, {
      headers: { "content-range": `bytes */${size}` },
    });
  const [start, end] = range ?? [0, size - 1];
  headers["content-length"] = String(end - start + 1);
  if (range) headers["content-range"] = `bytes ${start}-${end}/${size}`;
  const status = range ? 206 : 200;
  if (request.method === "HEAD" || size === 0) return new Response(null, { status, headers });
  const stream = createReadStream(path, { start, end });
  return new Response(Readable.toWeb(stream) as unknown as ReadableStream, { status, headers });
}

/** The time of the picture of a video that is in progress; undefined where there is none. */
export async function previewTime(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? Math.floor(found.mtimeMs) : undefined;
}

/** A picture that each step replaces, so it is read as a whole. @throws HttpError 404 when there is none */
export async function previewResponse(path: string): Promise<Response> {
  const bytes = await readFile(path).catch(() => {
    throw new HttpError(404, "no_preview", "There is no preview of this video, or not yet, or not any more.");
  });
  return new Response(new Uint8Array(bytes), {
    headers: { "content-type": "image/png", "cache-control": "private, no-store" },
  });
}

/** First and last byte; undefined for what is no single range of bytes, which means the whole file (RFC 9110). */
export function parseRange(text: string, size: number): [number, number] | "outside" | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(text.trim());
  if (!match || (match[1] === "" && match[2] === "")) return undefined;
  const [from, to] = [match[1] ?? "", match[2] ?? ""];
  if (from === "") {
    const length = Math.min(Number(to), size);
    return length === 0 ? "outside" : [size - length, size - 1];
  }
  const start = Number(from);
  const end = to === "" ? size - 1 : Math.min(Number(to), size - 1);
  if (to !== "" && Number(to) < start) return undefined;
  return start >= size ? "outside" : [start, end];
}
