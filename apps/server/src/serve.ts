/** A server and its workers on this machine. */
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import type { Server } from "node:http";
import { getRequestListener } from "@hono/node-server";
import type { JobQueue } from "@lvsa/jobs";
import { cliRunner, type Runner, runWorker } from "@lvsa/jobs/node";
import { checkOptionKinds, type OptionKinds, UsageError } from "@lvsa/runtime/errors";
import { pino } from "pino";
import { checkLimits, createApp, type Limits } from "./app.js";
import { describeModel } from "./models.js";
import { openQueue } from "./open-queue.js";
import { VERSION } from "./version.js";

export interface WorkOptions {
  /** Folders of checkpoints by the names that clients use; the first one is the default. */
  readonly models: ReadonlyMap<string, string>;
  /** Jobs' folders lie in it. Servers and workers of one queue need to see the same one. */
  readonly workspace: string;
  /** See `openQueue`. */
  readonly queue?: string;
  /** Jobs at once; default 1: a GPU makes one video at a time. */
  readonly workers?: number;
  /** The `lvsa` command: a program and its first arguments. */
  readonly command: readonly [string, ...string[]];
  /** Further arguments of every `lvsa generate` and `lvsa resume`: `--device`, `--devices`. */
  readonly deviceArguments?: readonly string[];
  /** Further arguments of every `lvsa generate`; what was begun with them goes on with them. */
  readonly generateArguments?: readonly string[];
  /** Instead of `command`, for tests. */
  readonly runner?: Runner;
  /** A job that takes longer fails; default: none. */
  readonly timeLimitMs?: number;
  /** A worker that is silent for so long has lost its job; default one minute. */
  readonly leaseMs?: number;
  /** Shuts down: running jobs are given back to the queue. */
  readonly signal: AbortSignal;
  /** Where the log goes, a JSON object per line; default: standard error. */
  readonly log?: { write(line: string): void };
}

export interface ServeOptions extends WorkOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 8787; 0 for any. */
  readonly port?: number;
  /** API keys. Without any the server listens on the loopback only. */
  readonly keys?: readonly string[];
  readonly limits?: Partial<Limits>;
}

export interface RunningServer {
  readonly url: string;
  /** Resolves when the server has shut down. */
  readonly closed: Promise<void>;
}

const WORK_KINDS: OptionKinds<WorkOptions> = {
  ...{ models: "object", workspace: "string", queue: "string", workers: "number", command: "array" },
  ...{
    generateArguments: "array",
    deviceArguments: "array",
    runner: "object",
    timeLimitMs: "number",
    leaseMs: "number",
  },
  ...{ signal: "object", log: "object" },
};
const SERVE_KINDS: OptionKinds<ServeOptions> = {
  ...WORK_KINDS,
  ...{ host: "string", port: "number", keys: "array", limits: "object" },
};

const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

/**
 * Starts a server, with `workers` of its own unless that is 0.
 *
 * @throws UsageError `BAD_OPTION`; `OPEN_SERVER` for an address that others reach, without keys; ConfigError for a model that is none
 */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  checkOptionKinds(SERVE_KINDS, options, "serve");
  checkLimits(options.limits);
  const { host = "127.0.0.1", port = 8787, keys = [], models, workspace, limits } = options;
  if (keys.length === 0 && !LOOPBACK.has(host))
    throw new UsageError("OPEN_SERVER", `a server at ${host} without keys would serve everybody`, {
      fix: "Give keys (LVSA_API_KEYS), or listen on 127.0.0.1.",
    });
  if (models.size === 0)
    throw new UsageError("NO_MODELS", "a server needs at least one model", {
      fix: "Give --model name=folder.",
    });
  const log = logger(options);
  const served = await Promise.all([...models].map(([name, folder]) => describeModel(name, folder)));
  await mkdir(workspace, { recursive: true });
  const queue = await open(options, log);
  const app = createApp({
    queue,
    models: served,
    workspace,
    keys,
    version: VERSION,
    ...(limits ? { limits } : {}),
    onError: (error) => log.error({ err: error }, "a request failed"),
  });
  const { createServer } = await import("node:http");
  const server = createServer(getRequestListener(app.fetch));
  // The workers stop first: what they hold goes back to a queue that is still open.
  const stopped = new AbortController();
  try {
    server.listen(port, host);
    await once(server, "listening");
  } catch (error) {
    await queue.close();
    throw error;
  }
  const working = startWorkers(queue, { ...options, signal: stopped.signal }, log);
  const address = server.address();
  const actual = typeof address === "object" && address ? address.port : port;
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${actual}`;
  log.info({ url, models: [...models.keys()], workers: options.workers ?? 1 }, "serving");
  const closed = (async () => {
    if (!options.signal.aborted) await once(options.signal, "abort");
    log.info("shutting down");
    stopped.abort();
    await close(server);
    await working;
    await queue.close();
  })();
  return { url, closed };
}

/** Workers without a server, for further machines. Works until the signal fires. @throws UsageError `BAD_OPTION`, `QUEUE_ADDRESS` */
export async function work(options: WorkOptions): Promise<void> {
  checkOptionKinds(WORK_KINDS, options, "work");
  if (options.queue === undefined)
    throw new UsageError(
      "QUEUE_ADDRESS",
      "workers of their own need a queue that a server shares with them",
      {
        fix: "Give --queue redis://… or postgres://….",
      },
    );
  const log = logger(options);
  const queue = await open(options, log);
  log.info({ models: [...options.models.keys()], workers: options.workers ?? 1 }, "working");
  await startWorkers(queue, options, log);
  await queue.close();
}

type Log = ReturnType<typeof logger>;

function logger(options: WorkOptions) {
  return pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, options.log ?? pino.destination(2));
}

function open(options: WorkOptions, log: Log): Promise<JobQueue> {
  return openQueue(options.queue, options.workspace, {
    ...(options.leaseMs === undefined ? {} : { leaseMs: options.leaseMs }),
    onNotice: (line) => log.warn(line),
  });
}

async function startWorkers(queue: JobQueue, options: WorkOptions, log: Log): Promise<void> {
  const { workers = 1, workspace, signal, timeLimitMs, leaseMs = 60_000, models, command } = options;
  const { deviceArguments = [], generateArguments = [] } = options;
  const runner =
    options.runner ?? cliRunner({ command, models, args: deviceArguments, generateArgs: generateArguments });
  await Promise.all(
    Array.from({ length: workers }, (_, index) =>
      runWorker({
        queue,
        runner,
        workspace,
        name: `${process.pid}.${index}`,
        beatMs: Math.min(10_000, leaseMs / 4),
        ...(timeLimitMs === undefined ? {} : { timeLimitMs }),
        signal,
        log: (line) => log.info(line),
      }),
    ),
  );
}

async function close(server: Server): Promise<void> {
  server.close();
  server.closeIdleConnections();
  // Open streams of progress would hold it for as long as their videos take.
  setTimeout(() => server.closeAllConnections(), 1000).unref();
  await once(server, "close");
}
