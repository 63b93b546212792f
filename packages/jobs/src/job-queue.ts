/** The contract of queues: what the server and the workers need, and what every adapter promises. */
import { checkOptionKinds, LvsaError, type OptionKinds, UsageError } from "@lvsa/runtime/errors";
import type { JobError, JobRecord, JobResult, JobStatus, VideoRequest } from "./job.js";

export interface NewJob {
  /** Default: `newJobId()`. Files of a job may be there before the job is. */
  readonly id?: string;
  readonly owner: string;
  readonly request: VideoRequest;
  readonly remixedFrom?: string;
}

export interface ListOptions {
  /** Jobs after this one in the order. */
  readonly after?: string;
  /** 1 to 100; default 20. */
  readonly limit?: number;
  /** By time of creation; default `desc`. */
  readonly order?: "asc" | "desc";
}

export interface JobPage {
  readonly jobs: readonly JobRecord[];
  readonly hasMore: boolean;
}

/** What a worker hears when it reports: `stop` when the job was cancelled or removed. */
export type Beat = "continue" | "stop";

/** A job in a worker's hands, until it ends it or is silent for longer than the lease lasts. */
export interface Lease {
  readonly job: JobRecord;
  /** Extends the lease. @param progress whole percent. @throws LeaseLostError when another worker has the job now */
  beat(progress: number): Promise<Beat>;
  /** @throws LeaseLostError; the result is not taken then */
  complete(result: JobResult): Promise<void>;
  /** Ends the job for good. A worker that dies needs not say so. @throws LeaseLostError */
  fail(error: JobError): Promise<void>;
  /** After `stop`: the work has ended. @throws LeaseLostError */
  cancelled(): Promise<void>;
  /** Gives the job back, e.g. when the worker shuts down; it does not count as an attempt. @throws LeaseLostError */
  release(): Promise<void>;
  /** Gives the job back after its process died; this was an attempt. @throws LeaseLostError */
  retry(): Promise<void>;
}

/**
 * A queue promises: a job that `add` returned is never lost; at any time at most one lease can end it; it is delivered
 * again when its worker was silent for `leaseMs`; nobody but its owner sees it.
 */
export interface JobQueue {
  /** The job is durable when this resolves. @throws UsageError `BAD_OPTION` for a request that is none */
  add(job: NewJob): Promise<JobRecord>;
  /** Undefined when there is none, or it is another owner's: the two look alike. */
  get(id: string, owner: string): Promise<JobRecord | undefined>;
  list(owner: string, options?: ListOptions): Promise<JobPage>;
  /** A waiting job ends at once; a running one is asked to stop. A finished one stays as it is. */
  cancel(id: string, owner: string): Promise<JobRecord | undefined>;
  /** Forgets a job; a running one is stopped first. False when there is none. */
  remove(id: string, owner: string): Promise<boolean>;
  /** The next job, oldest first; waits for one. Undefined when the signal fires. @param worker a name for logs */
  take(worker: string, signal: AbortSignal): Promise<Lease | undefined>;
  /** How many jobs there are. @param owner all owners' when left out */
  counts(owner?: string): Promise<Readonly<Record<JobStatus, number>>>;
  /** Leaves the queue; jobs stay. */
  close(): Promise<void>;
}

export interface QueueOptions {
  /** A worker that is silent for so long has lost its job; default one minute. */
  readonly leaseMs?: number;
  /** A job that so many workers began and none ended has failed (`WORKER_LOST`); default 5. */
  readonly maxAttempts?: number;
}
export type ResolvedQueueOptions = Required<QueueOptions>;

/**
 * Checks the options of an adapter, and gives those that all have.
 * @param own kinds of the options that only this adapter has
 * @throws UsageError `BAD_OPTION`
 */
export function resolveQueueOptions<Options extends QueueOptions>(
  options: Options,
  what: string,
  own: OptionKinds<Omit<Options, keyof QueueOptions>>,
): ResolvedQueueOptions {
  const kinds = { leaseMs: "number", maxAttempts: "number", ...own };
  checkOptionKinds<QueueOptions>(kinds, options, what);
  const { leaseMs = 60_000, maxAttempts = 5 } = options;
  if (leaseMs < 100) {
    throw new UsageError("BAD_OPTION", `leaseMs: expected at least 100 milliseconds, not ${leaseMs}`);
  }
  if (!Number.isSafeInteger(maxAttempts) || maxAttempts < 1) {
    throw new UsageError(
      "BAD_OPTION",
      `maxAttempts: expected a whole number of at least 1, not ${maxAttempts}`,
    );
  }
  return { leaseMs, maxAttempts };
}

/** The job is another worker's by now: what this one does to it has no effect. */
export class LeaseLostError extends LvsaError {
  constructor(id: string) {
    super("LEASE_LOST", `the job ${id} is not this worker's any more`, {
      fix: "Stop working on it; another worker goes on from its last checkpoint.",
    });
  }
}

/** Sorts by time: milliseconds first, then chance. */
export function newJobId(): string {
  const chance = crypto.getRandomValues(new Uint8Array(10));
  return `video_${Date.now().toString(36).padStart(9, "0")}${[...chance].map((byte) => byte.toString(36).padStart(2, "0")).join("")}`;
}
