// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `usage`: the caller asked for what
 * can not be, so that asking for something else mends it; programs end with their exit code for wrong usage.
 */
export const JOBS_ERROR_CODES: Readonly<Record<JobsErrorCode, { readonly usage: boolean }>> = {
  /** there is a job … already */
  JOB_EXISTS: { usage: false },
  /** the job … is not this worker's any more */
  LEASE_LOST: { usage: false },
  /** this worker has no model … */
  MODEL_UNKNOWN: { usage: false },
  /** process … has the queue in … */
  QUEUE_IN_USE: { usage: false },
};

export type JobsErrorCode =
  | "JOB_EXISTS"
  | "LEASE_LOST"
  | "MODEL_UNKNOWN"
  | "QUEUE_IN_USE";
