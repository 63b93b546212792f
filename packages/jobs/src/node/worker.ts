/** Takes jobs from a queue and has them run in a process of their own, one after the other. */
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { checkOptionKinds, isLvsaError, type OptionKinds, pause } from "@lvsa/runtime/errors";
import type { JobRecord, JobResult } from "../job.js";
import { type JobQueue, type Lease, LeaseLostError } from "../job-queue.js";

export interface RunnerReport {
  /** Percent. */
  readonly progress: number;
}

/** Does the work of a job. It begins again from what it left in `folder` when it did not end last time. */
export interface Runner {
  /**
   * @param folder the job's own, kept between attempts; the result's file goes there
   * @throws RunnerDiedError when its process ended without a word, which is worth another attempt; any other error ends
   *   the job with its code and message
   */
  run(job: JobRecord, context: RunnerContext): Promise<JobResult>;
}

export interface RunnerContext {
  readonly folder: string;
  /** Fires when the job is cancelled, when it took too long, and when the worker shuts down. */
  readonly signal: AbortSignal;
  readonly onProgress: (report: RunnerReport) => void;
}

/** The process that ran a job ended without saying why, as one does that was killed. */
export class RunnerDiedError extends Error {
  override readonly name = "RunnerDiedError";
}

export interface WorkerOptions {
  readonly queue: JobQueue;
  readonly runner: Runner;
  /** Jobs' folders lie in it. All workers of a queue need to see the same one. */
  readonly workspace: string;
  /** For logs; default: the process's number. */
  readonly name?: string;
  /** How often a worker says that it lives; a third of the queue's `leaseMs` or less. Default 10 s. */
  readonly beatMs?: number;
  /** A job that takes longer fails (`JOB_TIMEOUT`); default: none. */
  readonly timeLimitMs?: number;
  /** Shuts the worker down: the running job is given back, and nothing is counted against it. */
  readonly signal: AbortSignal;
  readonly log?: (line: string) => void;
}

const WORKER_KINDS: OptionKinds<WorkerOptions> = {
  ...{ queue: "object", runner: "object", workspace: "string", name: "string", beatMs: "number" },
  ...{ timeLimitMs: "number", signal: "object", log: "function" },
};

/**
 * Works until the signal fires. Errors of the queue are logged, and tried again after a second.
 * @throws UsageError `BAD_OPTION` for options that are unknown or of another kind
 */
export async function runWorker(options: WorkerOptions): Promise<void> {
  checkOptionKinds(WORKER_KINDS, options, "runWorker");
  const { queue, signal, log = () => {}, name = `pid-${process.pid}` } = options;
  while (!signal.aborted) {
    try {
      const lease = await queue.take(name, signal);
      if (lease) await work(lease, options);
    } catch (error) {
      log(`worker ${name}: ${error instanceof Error ? error.message : String(error)}`);
      await pause(1000, signal);
    }
  }
}

/** Why a job's work was stopped from outside. */
type Stop = "cancelled" | "lost" | "timeout" | "shutdown";

async function work(lease: Lease, options: WorkerOptions): Promise<void> {
  const { runner, workspace, signal, beatMs = 10_000, timeLimitMs, log = () => {} } = options;
  const { job } = lease;
  const stop = new AbortController();
  const end = (why: Stop) => stop.abort(why);
  const onShutdown = () => end("shutdown");
  signal.addEventListener("abort", onShutdown);
  if (signal.aborted) onShutdown();
  let progress = 0;
  let beating: Promise<void> = Promise.resolve();
  const beat = () => {
    beating = beating.then(async () => {
      try {
        if ((await lease.beat(progress)) === "stop") end("cancelled");
      } catch (error) {
        if (error instanceof LeaseLostError) end("lost");
        // The queue may be back before the lease ends.
        else log(`job ${job.id}: ${error instanceof Error ? error.message : String(error)}`);
      }
    });
  };
  const timer = setInterval(beat, beatMs);
  const limit = timeLimitMs === undefined ? undefined : setTimeout(() => end("timeout"), timeLimitMs);
  log(`job ${job.id}: attempt ${job.attempt}`);
  let outcome: () => Promise<void>;
  try {
    const folder = resolve(join(workspace, job.id));
    await mkdir(folder, { recursive: true });
    const result = await runner.run(job, {
      folder,
      signal: stop.signal,
      onProgress: (report) => {
        progress = report.progress;
      },
    });
    outcome = () => lease.complete(result);
  } catch (error) {
    outcome = () => endAfter(error, lease, stop.signal, timeLimitMs);
  } finally {
    clearInterval(timer);
    clearTimeout(limit);
    signal.removeEventListener("abort", onShutdown);
    await beating;
  }
  // What was computed is not computed again because the queue could not take it at once.
  while (true) {
    try {
      return await outcome();
    } catch (error) {
      log(`job ${job.id}: ${error instanceof Error ? error.message : String(error)}`);
      // Another worker has it, or its owner removed it: nothing is lost.
      if (error instanceof LeaseLostError || signal.aborted) return;
      await pause(1000, signal);
      await lease.beat(progress).catch(() => undefined);
    }
  }
}

async function endAfter(error: unknown, lease: Lease, stop: AbortSignal, timeLimitMs = 0): Promise<void> {
  switch (stop.aborted ? (stop.reason as Stop) : undefined) {
    case "cancelled":
      return lease.cancelled();
    case "shutdown":
      return lease.release();
    case "lost":
      return;
    case "timeout":
      return lease.fail({ code: "JOB_TIMEOUT", message: `the job took longer than ${timeLimitMs / 1000} s` });
  }
  if (error instanceof RunnerDiedError) return lease.retry();
  const message = error instanceof Error ? error.message : String(error);
  return lease.fail({ code: isLvsaError(error) ? error.code : "JOB_FAILED", message });
}
