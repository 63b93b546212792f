/** One request and its answer, with everything that a server or a line can do wrong on the way. */
import { AbortError, type LvsaError, type OptionKinds, pause } from "../../errors.js";
import { readFailed, weightsError } from "../header.js";
import { addressForMessages, type Target, targetOf } from "./address.js";

export interface HttpSourceOptions {
  readonly fetch?: typeof globalThis.fetch;
  /** Sent to the host of the address only: not to another one that it redirects to. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Further attempts after a failed or silent connection or an answer of 429 or 5xx. Default 3. */
  readonly retries?: number;
  /** Pause before the first further attempt, doubled each time, in milliseconds. Default 500. */
  readonly retryDelay?: number;
  /** Longest pause that a server may ask for with Retry-After, in milliseconds. Default 60,000. */
  readonly longestRetryDelay?: number;
  /** An attempt ends when less than 1 KiB came in this many milliseconds. Default 30,000. */
  readonly idleTimeout?: number;
  /** Bytes that are fetched ahead of who reads a file from front to back, at most. Default 16 MiB; 0 for none. */
  readonly readAhead?: number;
}

export const HTTP_SOURCE_KINDS: OptionKinds<HttpSourceOptions> = {
  ...{ fetch: "function", headers: "object", signal: "object", retries: "number", retryDelay: "number" },
  ...{ longestRetryDelay: "number", idleTimeout: "number", readAhead: "number" },
};

/** Less than this in `idleTimeout` counts as nothing: a byte now and then is no progress. */
const LEAST_PROGRESS = 1024;
const REDIRECTS = 10;

type Headers = Readonly<Record<string, string>>;

/** An answer and the bytes of its body, part by part; waiting for a part too long ends it. */
export interface Answer {
  readonly response: Response;
  parts(): AsyncGenerator<Uint8Array, void>;
}

/** Carries an error that another attempt may not meet. It never leaves this file. */
class Retryable extends Error {
  constructor(
    readonly reason: LvsaError,
    readonly pause?: number,
  ) {
    super(reason.message);
  }
}

/**
 * Asks for `address` and hands the answer (any 2xx, or 416) to `use`, again where another attempt may help. `use`
 * throws `again(...)` to have one.
 * @param headers of every attempt, or what makes them anew: of a download that goes on, what is wanted changes
 * @throws WeightsError `NOT_FOUND`, `READ_FAILED`; AbortError; what `use` throws
 */
export async function exchange<T>(
  address: string | URL,
  headers: Headers | (() => Headers),
  options: HttpSourceOptions,
  use: (answer: Answer) => Promise<T>,
): Promise<T> {
  const { signal } = options;
  const name = addressForMessages(address);
  const target = targetOf(address, options.headers);
  for (let count = 0; ; count++) {
    try {
      if (signal?.aborted) throw stopped(signal);
      return await attempt(target, name, typeof headers === "function" ? headers() : headers, options, use);
    } catch (error) {
      if (signal?.aborted) throw stopped(signal);
      if (!(error instanceof Retryable)) throw error;
      if (count >= (options.retries ?? 3)) throw error.reason;
      await pause(error.pause ?? (options.retryDelay ?? 500) * 2 ** count, signal);
    }
  }
}

/** To be thrown by `use`: an error that another attempt may not meet. */
export function again(reason: LvsaError): Error {
  return new Retryable(reason);
}

function stopped(signal: AbortSignal): AbortError {
  return new AbortError("ABORTED", "the download was stopped.", { cause: signal.reason });
}

async function attempt<T>(
  target: Target,
  name: string,
  headers: Headers,
  options: HttpSourceOptions,
  use: (answer: Answer) => Promise<T>,
): Promise<T> {
  const watch = new IdleWatch(options.idleTimeout ?? 30_000, options.signal);
  let response: Response | undefined;
  try {
    response = await watch.race(send(target, name, headers, options, watch.signal)).catch((cause) => {
      throw watch.explain(cause, name, () =>
        readFailed(`the server can not be reached: ${text(cause)}`, {
          where: name,
          fix: "Check the address and the connection (in a browser also the server's CORS headers).",
          cause,
        }),
      );
    });
    watch.restart();
    const failure = statusFailure(response, name, options);
    if (failure) throw failure;
    return await use({ response, parts: () => parts(response!, watch, name) });
  } finally {
    watch.end();
    // A body that nobody reads would hold its connection.
    await response?.body?.cancel().catch(() => undefined);
  }
}

async function* parts(response: Response, watch: IdleWatch, name: string): AsyncGenerator<Uint8Array, void> {
  const reader = response.body?.getReader();
  let received = 0;
  try {
    for (;;) {
      const part = await watch.race(reader?.read() ?? Promise.resolve(undefined)).catch((cause) => {
        throw watch.explain(cause, name, () =>
          readFailed(`the connection broke after ${received} bytes: ${text(cause)}`, {
            where: name,
            fix: "Try again.",
            cause,
          }),
        );
      });
      if (!part || part.done) return;
      received += part.value.length;
      watch.progress(part.value.length);
      yield part.value;
    }
  } finally {
    await reader?.cancel().catch(() => undefined);
    reader?.releaseLock();
  }
}

/** Ends a request that stands still. */
class IdleWatch {
  readonly #controller = new AbortController();
  readonly #limit: number;
  readonly #outer: AbortSignal | undefined;
  readonly #stop = () => this.#controller.abort(this.#outer?.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #received = 0;
  #isIdle = false;

  constructor(limit: number, outer: AbortSignal | undefined) {
    this.#limit = limit;
    this.#outer = outer;
    outer?.addEventListener("abort", this.#stop, { once: true });
    this.restart();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  restart(): void {
    clearTimeout(this.#timer);
    this.#received = 0;
    this.#timer = setTimeout(() => {
      if (this.#received >= LEAST_PROGRESS) return this.restart();
      this.#isIdle = true;
      this.#controller.abort();
    }, this.#limit);
  }

  progress(bytes: number): void {
    this.#received += bytes;
  }

  /** `work`, or a rejection at once when the watch ends it: not every `fetch` listens to its signal. */
  race<T>(work: Promise<T>): Promise<T> {
    const { signal } = this;
    return new Promise((resolve, reject) => {
      const stop = () => reject(signal.reason);
      if (signal.aborted) stop();
      signal.addEventListener("abort", stop, { once: true });
      work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
    });
  }

  /** What `cause` means: silence, or the error of `otherwise`; both may be tried again. */
  explain(cause: unknown, name: string, otherwise: () => LvsaError): unknown {
    if (isOwn(cause)) return cause;
    if (!this.#isIdle) return new Retryable(otherwise());
    return new Retryable(
      readFailed(`the server sent nothing for ${this.#limit / 1000} s.`, {
        where: name,
        fix: "Check the connection and try again; a slow line needs a larger idleTimeout.",
      }),
    );
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#stop);
  }
}

/** Errors that `send` makes itself. */
function isOwn(error: unknown): boolean {
  return error instanceof Retryable || (error as { name?: string })?.name === "WeightsError";
}

/**
 * `fetch` would send every header but Authorization and Cookie on to whichever host an answer names. So redirects are
 * followed here, and nothing of the caller's goes to another origin.
 */
async function send(
  { url: first, headers: own }: Target,
  name: string,
  headers: Headers,
  options: HttpSourceOptions,
  signal: AbortSignal,
): Promise<Response> {
  const fetch = options.fetch ?? globalThis.fetch;
  if (Object.keys(own).length === 0) return fetch(first.href, { headers, signal });
  const fail = (message: string, fix: string) => readFailed(message, { where: name, fix });
  let url = first;
  let sent = own;
  for (let hop = 0; hop <= REDIRECTS; hop++) {
    const response = await fetch(url.href, { headers: { ...sent, ...headers }, signal, redirect: "manual" });
    if (response.type === "opaqueredirect") {
      // Browsers hide where it leads. They drop Authorization themselves on the way to another origin.
      if (Object.keys(sent).every((key) => key.toLowerCase() === "authorization"))
        return fetch(url.href, { headers: { ...sent, ...headers }, signal });
      throw fail(
        "the server redirects, and a browser would send the given headers along.",
        "Give the address that it redirects to, or no headers but Authorization.",
      );
    }
    const location = response.headers.get("location");
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return response;
    await response.body?.cancel();
    const next = URL.canParse(location, url) ? new URL(location, url) : undefined;
    if (next?.protocol !== "https:" && next?.protocol !== "http:")
      throw fail("the server redirects to something that is no web address.", "Check the address.");
    if (next.origin !== url.origin) sent = {};
    url = next;
  }
  throw fail(`the server redirects more than ${REDIRECTS} times.`, "Check the address.");
}

/** 416 is left to the caller: it is how a server answers a request for the first byte of an empty file. */
function statusFailure(response: Response, name: string, options: HttpSourceOptions): Error | undefined {
  const { status } = response;
  if (isPage(response, name)) return webPage(name);
  if (response.ok || status === 416) return undefined;
  if (status === 404 || status === 410) {
    return weightsError("NOT_FOUND", `the server has no such file (HTTP ${status}).`, {
      where: name,
      fix: "Check the address.",
    });
  }
  const asked = retryAfter(response);
  if (status === 401 || status === 403) {
    return weightsError("NO_ACCESS", `the server answered HTTP ${status}.`, {
      where: name,
      fix: "Give an access token that may read it.",
    });
  }
  const waits = asked === undefined ? "" : ` and asks to wait ${Math.ceil(asked / 1000)} s`;
  const failure = readFailed(`the server answered HTTP ${status}${waits}.`, {
    where: name,
    fix:
      status === 429
        ? "Wait, or give an access token: the server limits how often it is asked."
        : "Try again later.",
  });
  if (status !== 429 && status < 500) return failure;
  if (asked !== undefined && asked > (options.longestRetryDelay ?? 60_000)) return failure;
  return new Retryable(failure, asked);
}

/** Milliseconds, from a number of seconds or a date. */
function retryAfter(response: Response): number | undefined {
  const value = response.headers.get("retry-after");
  if (value === null) return undefined;
  const milliseconds = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(milliseconds) ? undefined : Math.max(0, milliseconds);
}

/** Servers of applications answer any address with their page, and gates with the one to sign in. */
function isPage(response: Response, name: string): boolean {
  const type = response.headers.get("content-type") ?? "";
  return response.ok && /^(text\/html|application\/xhtml)/i.test(type) && !/\.x?html?$/i.test(name);
}

export function webPage(name: string): Error {
  return weightsError(
    "NOT_FOUND",
    "the server answers with a web page: it has no such file, or asks to sign in.",
    {
      where: name,
      fix: "Check the address; where one must sign in, give an access token.",
    },
  );
}

function text(error: unknown): string {
  const { message, cause } = (error ?? {}) as { message?: string; cause?: { message?: string } };
  return [message ?? String(error), cause?.message].filter(Boolean).join(": ");
}
