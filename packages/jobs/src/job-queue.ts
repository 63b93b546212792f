/** The contract of queues: what the server and the workers need, and what every adapter promises. */
import { LvsaError } from "@lvsa/runtime/errors";
import * as z from "zod";
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
  /** The job is durable when this resolves. */
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

const optionsSchema = z.strictObject({
  leaseMs: z.number().min(100).default(60_000),
  maxAttempts: z.int().min(1).default(5),
});

export interface QueueOptions {
  /** A worker that is silent for so long has lost its job; default one minute. */
  readonly leaseMs?: number;
  /** A job that so many workers began and none ended has failed (`WORKER_LOST`); default 5. */
  readonly maxAttempts?: number;
}
export type ResolvedQueueOptions = z.infer<typeof optionsSchema>;

/** @throws ZodError */
export function resolveQueueOptions(options: QueueOptions): ResolvedQueueOptions {
  return optionsSchema.parse({
    ...(options.leaseMs === undefined ? {} : { leaseMs: options.leaseMs }),
    ...(options.maxAttempts === undefined ? {} : { maxAttempts: options.maxAttempts }),
  });
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
