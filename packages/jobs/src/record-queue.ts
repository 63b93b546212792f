/** A queue from two halves: where records lie, and what brings their ids to workers. */
import { checkOptionKinds, UsageError } from "@lvsa/runtime/errors";
import * as z from "zod";
import { type JobError, type JobRecord, type JobResult, type JobStatus, jobRecordSchema } from "./job.js";
import {
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
import { isFinished, type JobTransition, newRecord, transition } from "./job-transition.js";

/** Where records lie. Every method is atomic and durable when it resolves, whoever else works on the same records. */
export interface RecordStore {
  insert(record: JobRecord): Promise<void>;
  read(id: string): Promise<JobRecord | undefined>;
  /** Applies `transition`; undefined, and no change, where that gives undefined or the record is gone. */
  update(id: string, change: JobTransition): Promise<JobRecord | undefined>;
  delete(id: string): Promise<boolean>;
  list(
    owner: string,
    after: JobRecord | undefined,
    limit: number,
    order: "asc" | "desc",
  ): Promise<JobRecord[]>;
  counts(owner?: string): Promise<Record<JobStatus, number>>;
  close(): Promise<void>;
}

/** An id on its way to one worker. */
export interface Delivered {
  readonly id: string;
  /** The worker lives. */
  keep(): Promise<void>;
  /** Nothing is left to do for it. */
  done(): Promise<void>;
  /** Bring it to somebody again. @param afterMs not before */
  again(afterMs: number): Promise<void>;
}

/** Brings ids to workers: each to one at a time, again when that one falls silent, oldest first. */
export interface Delivery {
  announce(id: string): Promise<void>;
  next(signal: AbortSignal): Promise<Delivered | undefined>;
  /** The record is gone or ended without a worker; a delivery that finds such an id later has to bear it all the same. */
  withdraw(id: string): Promise<void>;
  close(): Promise<void>;
}

export class RecordQueue implements JobQueue {
  readonly options: ResolvedQueueOptions;
  readonly #store: RecordStore;
  readonly #delivery: Delivery;
  #lastAdded = 0;

  constructor(store: RecordStore, delivery: Delivery, options: QueueOptions = {}) {
    this.#store = store;
    this.#delivery = delivery;
    this.options = resolveQueueOptions(options, "a queue", {});
  }

  async add(job: NewJob): Promise<JobRecord> {
    // Lists are in order of time: two jobs of one millisecond have an order too.
    this.#lastAdded = Math.max(Date.now(), this.#lastAdded + 0.001);
    const record = newRecord(job.id ?? newJobId(), job, this.#lastAdded);
    // What could not be read again would be lost.
    const { error } = jobRecordSchema.safeParse(record);
    if (error) throw new UsageError("BAD_OPTION", `a job that can not be kept: ${z.prettifyError(error)}`);
    await this.#store.insert(record);
    await this.#delivery.announce(record.id);
    return record;
  }

  async get(id: string, owner: string): Promise<JobRecord | undefined> {
    const record = await this.#store.read(id);
    return record?.owner === owner ? record : undefined;
  }

  async list(owner: string, options: ListOptions = {}): Promise<JobPage> {
    checkOptionKinds({ after: "string", limit: "number", order: ["asc", "desc"] }, options, "list");
    const { after, limit = 20, order = "desc" } = options;
    const from = after === undefined ? undefined : await this.get(after, owner);
    if (after !== undefined && !from) return { jobs: [], hasMore: false };
    const jobs = await this.#store.list(owner, from, limit + 1, order);
    return { jobs: jobs.slice(0, limit), hasMore: jobs.length > limit };
  }

  async cancel(id: string, owner: string): Promise<JobRecord | undefined> {
    if (!(await this.get(id, owner))) return undefined;
    const changed = await this.#store.update(id, { do: "cancel", now: Date.now() });
    if (changed?.status === "cancelled") await this.#delivery.withdraw(id);
    return changed ?? this.get(id, owner);
  }

  async remove(id: string, owner: string): Promise<boolean> {
    if (!(await this.get(id, owner))) return false;
    // Its worker, if there is one, finds no record at its next beat, and stops.
    const removed = await this.#store.delete(id);
    await this.#delivery.withdraw(id);
    return removed;
  }

  async take(worker: string, signal: AbortSignal): Promise<Lease | undefined> {
    while (!signal.aborted) {
      const delivered = await this.#delivery.next(signal);
      if (!delivered) continue;
      const token = crypto.randomUUID();
      const change = { do: "take", now: Date.now(), token, worker, options: this.options } as const;
      const job = await this.#store.update(delivered.id, change).catch(async (error: unknown) => {
        // The store may be back soon, and nobody else brings the job.
        await delivered.again(1000);
        throw error;
      });
      if (job?.lease?.token === token)
        return new RecordLease(this.#store, delivered, job, token, this.options.leaseMs);
      if (job) {
        // Taken only to be ended: cancelled, or begun too often.
        await delivered.done();
        continue;
      }
      const now = await this.#store.read(delivered.id);
      if (!now || isFinished(now)) await delivered.done();
      // Another worker's lease still runs.
      else await delivered.again(Math.max(50, (now.lease?.until ?? 0) - Date.now()));
    }
    return undefined;
  }

  counts(owner?: string): Promise<Record<JobStatus, number>> {
    return this.#store.counts(owner);
  }

  async close(): Promise<void> {
    await this.#delivery.close();
    await this.#store.close();
  }
}

class RecordLease implements Lease {
  readonly job: JobRecord;
  readonly #store: RecordStore;
  readonly #delivered: Delivered;
  readonly #token: string;
  readonly #leaseMs: number;

  constructor(store: RecordStore, delivered: Delivered, job: JobRecord, token: string, leaseMs: number) {
    this.job = job;
    this.#store = store;
    this.#delivered = delivered;
    this.#token = token;
    this.#leaseMs = leaseMs;
  }

  async beat(progress: number): Promise<Beat> {
    const change = {
      do: "beat",
      now: Date.now(),
      token: this.#token,
      progress,
      leaseMs: this.#leaseMs,
    } as const;
    const job = await this.#store.update(this.job.id, change);
    if (job) {
      await this.#delivered.keep();
      return job.cancelRequested ? "stop" : "continue";
    }
    // Removed by its owner: there is nobody to lose it to.
    if (!(await this.#store.read(this.job.id))) {
      await this.#delivered.done();
      return "stop";
    }
    throw new LeaseLostError(this.job.id);
  }

  complete(result: JobResult): Promise<void> {
    return this.#end({ do: "complete", now: Date.now(), token: this.#token, result });
  }

  fail(error: JobError): Promise<void> {
    return this.#end({ do: "fail", now: Date.now(), token: this.#token, error });
  }

  async cancelled(): Promise<void> {
    if (await this.#store.read(this.job.id))
      await this.#end({ do: "cancelled", now: Date.now(), token: this.#token });
  }

  release(): Promise<void> {
    return this.#giveBack("release");
  }

  retry(): Promise<void> {
    return this.#giveBack("retry");
  }

  async #giveBack(how: "release" | "retry"): Promise<void> {
    const job = await this.#store.update(this.job.id, { do: how, now: Date.now(), token: this.#token });
    if (!job) throw new LeaseLostError(this.job.id);
    if (isFinished(job)) await this.#delivered.done();
    else await this.#delivered.again(0);
  }

  async #end(change: JobTransition): Promise<void> {
    // The record first: killed between the two, the job is delivered once more, and found to be finished.
    if (!(await this.#store.update(this.job.id, change))) throw new LeaseLostError(this.job.id);
    await this.#delivered.done();
  }
}

/** What a queue that several processes share is opened from. */
export interface SharedQueueParts {
  readonly store: RecordStore & {
    /** Makes or reaches what it needs. */
    start(): Promise<void>;
    /** Ids of jobs that wait, oldest first. */
    queued(): Promise<string[]>;
  };
  readonly delivery: Delivery & { start(): Promise<void> };
}

/** Starts both halves; where one fails, both are closed. */
export async function openSharedQueue(
  { store, delivery }: SharedQueueParts,
  options: QueueOptions,
): Promise<JobQueue> {
  try {
    await store.start();
    await delivery.start();
    // A process that died between the two halves of `add` left records that nobody announced.
    for (const id of await store.queued()) await delivery.announce(id);
  } catch (error) {
    await delivery.close();
    await store.close();
    throw error;
  }
  return new RecordQueue(store, delivery, options);
}

/** The next record by `change`; for stores. */
export function changed(record: JobRecord | undefined, change: JobTransition): JobRecord | undefined {
  return record && transition(record, change);
}

/** Zero of each. */
export function noJobs(): Record<JobStatus, number> {
  return { queued: 0, in_progress: 0, completed: 0, failed: 0, cancelled: 0 };
}

/** Order of lists: time of creation, then id. */
export function compareRecords(a: JobRecord, b: JobRecord): number {
  return a.createdAt - b.createdAt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}
