/**
 * How a record changes: pure functions that every queue applies under its own lock, so that all queues follow the same
 * rules. What is not allowed returns a reason instead of a record.
 */
import type { JobError, JobRecord, JobResult, JobStatus } from "./job.js";
import type { NewJob, ResolvedQueueOptions } from "./job-queue.js";

export const FINISHED: readonly JobStatus[] = ["completed", "failed", "cancelled"];

export function isFinished(job: Pick<JobRecord, "status">): boolean {
  return FINISHED.includes(job.status);
}

/** A change as data, so that queues of other processes can carry it. */
export type JobTransition =
  | { readonly do: "cancel"; readonly now: number }
  | {
      readonly do: "take";
      readonly now: number;
      readonly token: string;
      readonly worker: string;
      readonly options: ResolvedQueueOptions;
    }
  | {
      readonly do: "beat";
      readonly now: number;
      readonly token: string;
      readonly progress: number;
      readonly leaseMs: number;
    }
  | { readonly do: "complete"; readonly now: number; readonly token: string; readonly result: JobResult }
  | { readonly do: "fail"; readonly now: number; readonly token: string; readonly error: JobError }
  | { readonly do: "cancelled"; readonly now: number; readonly token: string }
  | { readonly do: "release" | "retry"; readonly now: number; readonly token: string };

export function newRecord(id: string, job: NewJob, now: number): JobRecord {
  return {
    id,
    owner: job.owner,
    request: job.request,
    status: "queued",
    progress: 0,
    attempt: 0,
    createdAt: now,
    startedAt: null,
    finishedAt: null,
    cancelRequested: false,
    lease: null,
    result: null,
    error: null,
    remixedFrom: job.remixedFrom ?? null,
  };
}

/**
 * The record after the change; undefined when it may not happen: the job is finished, has another worker, or is not
 * there to be taken. A job whose worker fell silent can be taken, and fails when it was begun too often.
 */
export function transition(job: JobRecord, change: JobTransition): JobRecord | undefined {
  if (isFinished(job)) return undefined;
  switch (change.do) {
    case "cancel":
      if (job.status === "queued") return finish(job, "cancelled", change.now);
      return { ...job, cancelRequested: true };
    case "take": {
      const silent = job.lease !== null && job.lease.until <= change.now;
      if (job.status === "in_progress" && !silent) return undefined;
      // Its worker died before it could stop.
      if (job.cancelRequested) return finish(job, "cancelled", change.now);
      if (job.attempt >= change.options.maxAttempts) {
        const error = {
          code: "WORKER_LOST",
          message: `${job.attempt} workers began this job and none ended it`,
        };
        return { ...finish(job, "failed", change.now), error };
      }
      const lease = {
        token: change.token,
        worker: change.worker,
        until: change.now + change.options.leaseMs,
      };
      const startedAt = job.startedAt ?? change.now;
      return { ...job, status: "in_progress", attempt: job.attempt + 1, startedAt, lease };
    }
    default:
      if (job.lease?.token !== change.token) return undefined;
  }
  switch (change.do) {
    case "beat": {
      const lease = { ...job.lease, until: change.now + change.leaseMs };
      return { ...job, progress: Math.max(0, Math.min(99, Math.floor(change.progress))), lease };
    }
    case "complete":
      return { ...finish(job, "completed", change.now), progress: 100, result: change.result };
    case "fail":
      return { ...finish(job, "failed", change.now), error: change.error };
    case "cancelled":
      return finish(job, "cancelled", change.now);
    case "release":
    case "retry":
      if (job.cancelRequested) return finish(job, "cancelled", change.now);
      return {
        ...job,
        status: "queued",
        attempt: change.do === "release" ? job.attempt - 1 : job.attempt,
        lease: null,
      };
  }
}

function finish(job: JobRecord, status: JobStatus, now: number): JobRecord {
  return { ...job, status, finishedAt: now, lease: null };
}
