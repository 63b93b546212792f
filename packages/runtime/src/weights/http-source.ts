/** A file on a server, read by HTTP range requests, with further attempts when the connection fails. */
import { throwIfAborted } from "../errors.js";
import { type ByteSource, readTarget } from "./byte-source.js";
import { weightsError } from "./header.js";

export interface HttpSourceOptions {
  readonly fetch?: typeof globalThis.fetch;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Further attempts after a failed connection or an answer of 429 or 5xx. Default 3. */
  readonly retries?: number;
  /** Pause before the first further attempt, doubled each time, in milliseconds. Default 500. */
  readonly retryDelay?: number;
}

/**
 * A file on a server that answers range requests.
 * @throws WeightsError `NOT_FOUND`; `READ_FAILED` when the server refuses, ignores ranges or can not be reached
 */
export async function httpSource(url: string | URL, options: HttpSourceOptions = {}): Promise<ByteSource> {
  const name = addressForMessages(url);
  const probe = await retrying(options, () => request(url, name, { Range: "bytes=0-0" }, options));
  await probe.body?.cancel();
  // An empty file has no first byte: the answer is 416 with "bytes */0".
  const size = Number(/\/(\d+)$/.exec(probe.headers.get("content-range") ?? "")?.[1] ?? Number.NaN);
  if ((probe.status !== 206 && probe.status !== 416) || !Number.isSafeInteger(size))
    throw noRanges(name, probe);
  return {
    name,
    size,
    async read(offset, length, into) {
      const target = readTarget({ name, size }, offset, length, into);
      if (length === 0) return target;
      const range = `bytes=${offset}-${offset + length - 1}`;
      return retrying(options, async () => {
        const response = await request(url, name, { Range: range }, options);
        const total = response.headers.get("content-range")?.split("/")[1];
        if (response.status !== 206) {
          await response.body?.cancel();
          throw noRanges(name, response);
        }
        if (total !== undefined && total !== "*" && Number(total) !== size) {
          await response.body?.cancel();
          throw weightsError("READ_FAILED", `the file had ${size} bytes and now has ${total}.`, {
            where: name,
            fix: "It was replaced while it was read: start again.",
          });
        }
        await readBody(response, target, name);
        return target;
      });
    },
    async close() {},
  };
}

/** The whole answer to a plain request, for small files. */
export async function httpGet(url: string | URL, options: HttpSourceOptions = {}): Promise<Uint8Array> {
  const name = addressForMessages(url);
  return retrying(options, async () => {
    const response = await request(url, name, {}, options);
    try {
      return new Uint8Array(await response.arrayBuffer());
    } catch (cause) {
      throw new Retryable(
        weightsError("READ_FAILED", `the connection broke: ${text(cause)}`, {
          where: name,
          fix: "Try again.",
          cause,
        }),
      );
    }
  });
}

/** Without the query: signed addresses carry secrets there. */
export function addressForMessages(url: string | URL): string {
  return String(url).split(/[?#]/)[0]!;
}

/** Carries an error that another attempt may not meet. It never leaves this file. */
class Retryable extends Error {
  constructor(readonly reason: Error) {
    super(reason.message);
  }
}

async function retrying<T>(options: HttpSourceOptions, attempt: () => Promise<T>): Promise<T> {
  const retries = options.retries ?? 3;
  for (let count = 0; ; count++) {
    try {
      return await attempt();
    } catch (error) {
      throwIfAborted(options.signal, "the download");
      if (!(error instanceof Retryable)) throw error;
      if (count >= retries) throw error.reason;
      await pause((options.retryDelay ?? 500) * 2 ** count, options.signal);
      throwIfAborted(options.signal, "the download");
    }
  }
}

/** Waits, or less when the signal fires. */
function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
  });
}

async function request(
  url: string | URL,
  name: string,
  headers: Record<string, string>,
  options: HttpSourceOptions,
): Promise<Response> {
  let response: Response;
  try {
    response = await (options.fetch ?? globalThis.fetch)(url, {
      headers: { ...options.headers, ...headers },
      ...(options.signal ? { signal: options.signal } : {}),
    });
  } catch (cause) {
    throw new Retryable(
      weightsError("READ_FAILED", `the server can not be reached: ${text(cause)}`, {
        where: name,
        fix: "Check the address and the connection (in a browser also the server's CORS headers).",
        cause,
      }),
    );
  }
  const { status } = response;
  // 416 is how a server answers a request for the first byte of an empty file.
  if (response.ok || status === 416) return response;
  await response.body?.cancel();
  if (status === 404 || status === 410) {
    throw weightsError("NOT_FOUND", `the server has no such file (HTTP ${status}).`, {
      where: name,
      fix: "Check the address.",
    });
  }
  const failure = weightsError("READ_FAILED", `the server answered HTTP ${status}.`, {
    where: name,
    fix: status === 401 || status === 403 ? "Give an access token that may read it." : "Try again later.",
  });
  throw status === 429 || status >= 500 ? new Retryable(failure) : failure;
}

async function readBody(response: Response, target: Uint8Array, name: string): Promise<void> {
  const reader = response.body?.getReader();
  let filled = 0;
  try {
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      if (filled + part.value.length > target.length) break;
      target.set(part.value, filled);
      filled += part.value.length;
    }
    if (filled === target.length) return;
  } catch (cause) {
    throw new Retryable(
      weightsError("READ_FAILED", `the connection broke after ${filled} of ${target.length} bytes.`, {
        where: name,
        fix: "Try again.",
        cause,
      }),
    );
  } finally {
    await reader?.cancel().catch(() => undefined);
  }
  throw new Retryable(
    weightsError("TRUNCATED", `the server sent ${filled} of ${target.length} bytes.`, {
      where: name,
      fix: "Try again.",
    }),
  );
}

function noRanges(name: string, response: Response): Error {
  return weightsError(
    "READ_FAILED",
    `the server does not answer range requests (HTTP ${response.status}, content-range "${response.headers.get("content-range") ?? ""}").`,
    { where: name, fix: "Use a server with range requests that also exposes the Content-Range header." },
  );
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
