/** One file from a server into the store: resumed where it was cut, checked when it is whole. */
import { LvsaError, pause, throwIfAborted, WeightsError } from "@lvsa/runtime";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { OpenedFile } from "./opfs.js";

/** Written through to the disk after so many bytes: no more is lost when the worker is killed. */
const FLUSH_BYTES = 8 * 1024 * 1024;
/** Read back at once to add what is there to the checksum. */
const PART_BYTES = 4 * 1024 * 1024;
const RETRIES = 4;

/** What must stay the same between two requests, so that no file is made of two versions. */
export interface Version {
  readonly etag: string | null;
  readonly modified: string | null;
  readonly total: number | null;
}

export interface DownloadRequest {
  readonly url: string;
  /** What is there already, from the beginning on. */
  readonly file: OpenedFile;
  /** Of what is there; undefined when it is not known: it is fetched anew. */
  readonly version: Version | undefined;
  /** The expected bytes, where they are known. */
  readonly size?: number | undefined;
  readonly sha256?: string | undefined;
  readonly fetch?: typeof globalThis.fetch;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds before the first further attempt, doubled each time. Default 500. */
  readonly retryDelay?: number;
  /** Called before the first byte of a version is written. */
  readonly onVersion: (version: Version) => Promise<void>;
  readonly onProgress?: (received: number, total: number | undefined) => void;
}

/**
 * @returns the file's size and checksum; undefined when the server has no such file
 * @throws WeightsError `CHECKSUM`, `DOWNLOAD_FAILED`; AbortError; LvsaError `STORE_FULL`
 */
export async function download(
  request: DownloadRequest,
): Promise<{ readonly size: number; readonly sha256: string } | undefined> {
  let { version } = request;
  let at = version ? request.file.size : 0;
  let hash = sha256.create();
  for (let offset = 0; offset < at; offset += PART_BYTES) {
    throwIfAborted(request.signal, "the download");
    hash.update(await request.file.read(offset, Math.min(PART_BYTES, at - offset)));
  }
  const restart = async () => {
    at = 0;
    hash = sha256.create();
    await request.file.truncate(0);
  };
  if (at === 0 && request.file.size > 0) await restart();
  if (at > 0 && at === request.size && request.sha256 !== undefined) {
    // The tab was closed between the last byte and the note that the file is whole: there is nothing to ask for.
    const found = bytesToHex(hash.clone().digest());
    if (found === request.sha256.toLowerCase()) return { size: at, sha256: found };
    await restart();
  }
  for (let attempt = 0; ; attempt++) {
    const before = at;
    try {
      const answer = await ask(request, at);
      if (!answer) return undefined;
      const { response, first } = answer;
      const seen = versionOf(response, first);
      if (at > 0 && (first !== at || !isSame(version, seen))) {
        await restart();
        if (first !== 0) {
          await response.body?.cancel();
          version = undefined;
          continue;
        }
      }
      if (at === 0) {
        await request.onVersion(seen);
        version = seen;
      }
      const total = request.size ?? seen.total ?? undefined;
      let flushed = at;
      request.onProgress?.(at, total);
      for await (const part of partsOf(response, request.signal)) {
        await request.file.write(part, at);
        hash.update(part);
        at += part.length;
        if (at - flushed >= FLUSH_BYTES) {
          await request.file.flush();
          flushed = at;
        }
        request.onProgress?.(at, total);
      }
      if (seen.total !== null && at !== seen.total) throw new Cut(`${at} of ${seen.total} bytes came`);
      break;
    } catch (error) {
      throwIfAborted(request.signal, "the download");
      if (error instanceof LvsaError) throw error;
      await request.file.flush();
      // A line that moves on, if only a little at a time, is not given up.
      if (at > before) attempt = 0;
      if (attempt >= RETRIES) throw failed(request.url, text(error), error);
      await pause((request.retryDelay ?? 500) * 2 ** attempt, request.signal);
      throwIfAborted(request.signal, "the download");
    }
  }
  await request.file.truncate(at);
  await request.file.flush();
  const sum = bytesToHex(hash.digest());
  const wrongSize = request.size !== undefined && request.size !== at;
  if (wrongSize || (request.sha256 !== undefined && request.sha256.toLowerCase() !== sum)) {
    const what = wrongSize ? `${at} bytes instead of ${request.size}` : `the SHA-256 ${sum}`;
    throw new WeightsError("CHECKSUM", `what came has ${what}, which is not what the list of files says.`, {
      fault: "run",
      where: request.url,
      fix: "Load it again; if that does not help, the server has another version than its list.",
    });
  }
  return { size: at, sha256: sum };
}

/** The connection ended early. */
class Cut extends Error {}

interface Answered {
  readonly response: Response;
  /** Where the body begins in the file. */
  readonly first: number;
}

async function ask(request: DownloadRequest, at: number): Promise<Answered | undefined> {
  const { url, signal } = request;
  const fetch = request.fetch ?? globalThis.fetch;
  const response = await fetch(url, {
    // Our own store is what keeps it.
    cache: "no-store",
    ...(at > 0 ? { headers: { Range: `bytes=${at}-` } } : {}),
    ...(signal ? { signal } : {}),
  });
  const { status } = response;
  const end = async () => response.body?.cancel().catch(() => undefined);
  if (status === 404 || status === 410 || isPage(response, url)) {
    await end();
    return undefined;
  }
  if (status === 416) {
    await end();
    // All of it is there, or the file is shorter now: from the beginning, so that its version is known.
    return at === 0 ? { response: new Response(), first: 0 } : ask(request, 0);
  }
  if (status === 206) {
    const [, first] = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "") ?? [];
    // A server of another origin may hide the header; what it sends is what was asked for, or its checksum is wrong.
    return { response, first: first === undefined ? at : Number(first) };
  }
  if (response.ok) return { response, first: 0 };
  await end();
  const message = `the server answered HTTP ${status}`;
  if (status === 429 || status >= 500) throw new Cut(message);
  throw failed(url, message, undefined);
}

function versionOf(response: Response, first: number): Version {
  const { headers } = response;
  const [, total] = /\/(\d+)$/.exec(headers.get("content-range") ?? "") ?? [];
  const length = headers.has("content-encoding") ? null : headers.get("content-length");
  return {
    etag: headers.get("etag"),
    modified: headers.get("last-modified"),
    total: total !== undefined ? Number(total) : length === null ? null : first + Number(length),
  };
}

function isSame(was: Version | undefined, now: Version): boolean {
  if (!was) return false;
  if (was.total !== null && now.total !== null && was.total !== now.total) return false;
  if (was.etag !== null && now.etag !== null) return was.etag === now.etag;
  if (was.modified !== null && now.modified !== null) return was.modified === now.modified;
  return was.total !== null && now.total !== null;
}

/** Hosts of applications answer every address with their page. */
function isPage(response: Response, url: string): boolean {
  const type = response.headers.get("content-type") ?? "";
  return response.ok && /^(text\/html|application\/xhtml)/i.test(type) && !/\.x?html?($|[?#])/i.test(url);
}

async function* partsOf(response: Response, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      throwIfAborted(signal, "the download");
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function failed(where: string, message: string, cause: unknown): WeightsError {
  return new WeightsError("DOWNLOAD_FAILED", `the file can not be loaded: ${message}`, {
    fault: "run",
    where,
    fix: "Check the connection and the address, and load it again: it goes on where it stopped.",
    cause,
  });
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
