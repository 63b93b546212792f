export { JOBS_ERROR_CODES, type JobsErrorCode } from "./error-codes.js";
export {
  type JobError,
  type JobRecord,
  type JobResult,
  type JobStatus,
  jobRecordSchema,
  type VideoRequest,
  videoRequestSchema,
} from "./job.js";
export {
  type Beat,
  type JobPage,
  type JobQueue,
  type Lease,
  LeaseLostError,
  type ListOptions,
  type NewJob,
  newJobId,
  type QueueOptions,
  type ResolvedQueueOptions,
  resolveQueueOptions,
} from "./job-queue.js";
export { FINISHED, isFinished, type JobTransition, transition } from "./job-transition.js";
export {
  changed,
  compareRecords,
  type Delivered,
  type Delivery,
  noJobs,
  openSharedQueue,
  RecordQueue,
  type RecordStore,
  type SharedQueueParts,
} from "./record-queue.js";
