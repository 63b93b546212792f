/** A file on a server, read by HTTP range requests. Every answer must be for the bytes and the version asked for. */
import { checkOptionKinds } from "../../errors.js";
import { type ByteSource, readTarget } from "../byte-source.js";
import { tooLarge } from "../folder-limits.js";
import { readFailed } from "../header.js";
import { addressForMessages } from "./address.js";
import {
  type Answer,
  again,
  exchange,
  HTTP_SOURCE_KINDS,
  type HttpSourceOptions,
  webPage,
} from "./exchange.js";
import { readAhead } from "./read-ahead.js";

/** The first request brings this much: enough for the header of a small file, at no further cost. */
const HEAD_BYTES = 64 * 1024;
const READ_AHEAD_BYTES = 16 * 1024 * 1024;

/** What says that a file is still the one that was opened. */
interface Version {
  readonly size: number;
  readonly etag: string | null;
  readonly modified: string | null;
}

/**
 * A file on a server that answers range requests. The first answer's ETag (else Last-Modified) must stay the same, so
 * that parts of two versions are never mixed.
 * @throws WeightsError `NOT_FOUND`; `READ_FAILED` when the server refuses, ignores ranges or can not be reached; UsageError
 *   `BAD_OPTION`
 */
export async function httpSource(url: string | URL, options: HttpSourceOptions = {}): Promise<ByteSource> {
  checkOptionKinds(HTTP_SOURCE_KINDS, options, "httpSource");
  const { version, head } = await probe(url, options, HEAD_BYTES);
  const name = addressForMessages(url);
  const closing = new AbortController();
  const { signal: outer } = options;
  const signal = outer ? AbortSignal.any([outer, closing.signal]) : closing.signal;
  const { size } = version;
  const source: ByteSource = {
    name,
    size,
    async read(offset, length, into) {
      const target = readTarget({ name, size }, offset, length, into);
      if (length === 0) return target;
      if (closing.signal.aborted) throw readFailed("the file was closed before.", { where: name });
      const last = offset + length - 1;
      return exchange(url, { Range: `bytes=${offset}-${last}` }, { ...options, signal }, async (answer) => {
        const range = checkRange(answer, name, offset, last);
        checkVersion(answer, name, version, range.total);
        await readBody(answer, target, name);
        return target;
      });
    },
    async close() {
      closing.abort();
    },
  };
  return readAhead(source, options.readAhead ?? READ_AHEAD_BYTES, head);
}

/** Whether the server has the file. @throws WeightsError `READ_FAILED` when it can not say */
export async function httpExists(url: string | URL, options: HttpSourceOptions = {}): Promise<boolean> {
  try {
    await probe(url, options, 1);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "NOT_FOUND") return false;
    throw error;
  }
}

/** Asks for the first `bytes` bytes. */
async function probe(
  url: string | URL,
  options: HttpSourceOptions,
  bytes: number,
): Promise<{ version: Version; head: Uint8Array }> {
  const name = addressForMessages(url);
  return exchange(url, { Range: `bytes=0-${bytes - 1}` }, options, async (answer) => {
    const { headers, status } = answer.response;
    const etag = headers.get("etag");
    const modified = headers.get("last-modified");
    const stated = headers.get("content-range");
    if (status === 416 && /^bytes \*\/0$/.test(stated ?? ""))
      return { version: { size: 0, etag, modified }, head: new Uint8Array() };
    const { total, last } = checkRange(answer, name, 0, undefined);
    if (total === undefined || last !== Math.min(bytes, total) - 1) throw noRanges(name, answer.response);
    const head = await readBody(answer, new Uint8Array(last + 1), name);
    return { version: { size: total, etag, modified }, head };
  });
}

/**
 * The whole answer to a plain request, for small files.
 * @throws WeightsError `TOO_LARGE` beyond `maxBytes`, `NOT_FOUND`, `READ_FAILED`
 */
export async function httpGet(
  url: string | URL,
  maxBytes: number,
  options: HttpSourceOptions = {},
): Promise<Uint8Array> {
  const name = addressForMessages(url);
  return exchange(url, {}, options, async (answer) => {
    const { status, headers } = answer.response;
    if (status === 416) throw failed(name, "the server answered HTTP 416 to a request for the whole file.");
    if (status === 206) throw failed(name, "the server sent a part where the whole file was asked for.");
    const parts: Uint8Array[] = [];
    let received = 0;
    for await (const part of answer.parts()) {
      received += part.length;
      if (received > maxBytes) throw tooLarge(name, maxBytes);
      parts.push(part);
    }
    const length = headers.get("content-length");
    if (length !== null && !headers.has("content-encoding") && Number(length) !== received)
      throw again(failed(name, `the server sent ${received} of ${length} bytes.`, "Try again."));
    const bytes = new Uint8Array(received);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    const start = new TextDecoder().decode(bytes.subarray(0, 256)).trimStart();
    if (/^<(!doctype html|html)/i.test(start) && !/\.x?html?$/i.test(name)) throw webPage(name);
    return bytes;
  });
}

interface StatedRange {
  readonly last: number;
  /** Absent where the server does not say (`*`). */
  readonly total: number | undefined;
}

/** What the answer says it holds: exactly bytes `first` to `last`, or from `first` on when `last` is open. */
function checkRange(
  { response }: Answer,
  name: string,
  first: number,
  last: number | undefined,
): StatedRange {
  const text = response.headers.get("content-range") ?? "";
  const [, from, to, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/i.exec(text.trim()) ?? [];
  if (response.status === 200) throw noRanges(name, response, last !== undefined);
  if (response.status !== 206 || from === undefined) throw noRanges(name, response);
  const encoding = response.headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity")
    throw failed(name, `the server compresses parts of the file ("${encoding.slice(0, 40)}").`);
  const size = total === "*" ? undefined : Number(total);
  const stated = [Number(from), Number(to), size ?? 0];
  if (!stated.every(Number.isSafeInteger)) throw noRanges(name, response);
  if (stated[0] === first && (last === undefined || stated[1] === last))
    return { last: stated[1]!, total: size };
  throw failed(name, `bytes ${first} to ${last} were asked for, the server sent ${from} to ${to}.`);
}

function checkVersion({ response }: Answer, name: string, version: Version, total: number | undefined): void {
  const replaced = (what: string) => failed(name, what, "It was replaced while it was read: start again.");
  const { size, etag, modified } = version;
  if (total !== undefined && total !== size)
    throw replaced(`the file had ${size} bytes and now has ${total}.`);
  const now = { etag: response.headers.get("etag"), modified: response.headers.get("last-modified") };
  // A weak tag may stay off an answer, a strong one is how a server promises that the bytes are the same.
  const isStrong = etag !== null && !etag.startsWith("W/");
  if (etag !== null && now.etag !== etag && (isStrong || now.etag !== null))
    throw replaced("the file's ETag is not the one that it was opened with.");
  if (etag === null && modified !== null && now.modified !== null && now.modified !== modified)
    throw replaced("the file was modified after it was opened.");
}

/** Fills `target`, no more and no less. */
async function readBody(answer: Answer, target: Uint8Array, name: string): Promise<Uint8Array> {
  let filled = 0;
  let received = 0;
  for await (const part of answer.parts()) {
    received += part.length;
    if (received > target.length) break;
    target.set(part, filled);
    filled = received;
  }
  if (received === target.length) return target;
  const amount = received > target.length ? `more than ${target.length}` : `${received} of ${target.length}`;
  throw again(readFailed(`the server sent ${amount} bytes.`, { where: name, fix: "Try again." }));
}

function noRanges(name: string, response: Response, before = false): Error {
  const stated = (response.headers.get("content-range") ?? "").slice(0, 80);
  return failed(
    name,
    `the server does not answer range requests${before ? " any more" : ""} (HTTP ${response.status}, content-range "${stated}").`,
    "Use a server with range requests that also exposes the Content-Range header.",
  );
}

function failed(name: string, message: string, fix = "Use another server, or download the files.") {
  return readFailed(message, { where: name, fix });
}
