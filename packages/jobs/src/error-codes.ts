// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `fault` is `usage` for what was asked
 * wrongly, `input` for what was given and can not be used, `run` for what failed on the way; programs end with their exit code
 * for wrong usage for the first two.
 */
export const JOBS_ERROR_CODES: Readonly<
  Record<JobsErrorCode, { readonly fault: "usage" | "input" | "run" }>
> = {
  /** leaseMs: expected at least 100 milliseconds, not … */
  BAD_OPTION: { fault: "usage" },
  /** there is a job … already */
  JOB_EXISTS: { fault: "input" },
  /** the job … is not this worker's any more */
  LEASE_LOST: { fault: "run" },
  /** this worker has no model … */
  MODEL_UNKNOWN: { fault: "input" },
  /** process … has the queue in … */
  QUEUE_IN_USE: { fault: "run" },
  /** the job … can not be written: … */
  QUEUE_WRITE: { fault: "run" },
};

export type JobsErrorCode =
  | "BAD_OPTION"
  | "JOB_EXISTS"
  | "LEASE_LOST"
  | "MODEL_UNKNOWN"
  | "QUEUE_IN_USE"
  | "QUEUE_WRITE";
