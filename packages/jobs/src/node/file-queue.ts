/**
 * A queue in a folder: one process owns it, every change is a file written beside and renamed, and a process that was
 * killed leaves nothing half written. `<folder>/<id>/job.json` holds a record; the job's other files lie beside it.
 */
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "@lvsa/runtime/errors";
import { type JobRecord, type JobStatus, jobRecordSchema } from "../job.js";
import { type JobQueue, type QueueOptions, resolveQueueOptions } from "../job-queue.js";
import { isFinished, type JobTransition } from "../job-transition.js";
import {
  changed,
  compareRecords,
  type Delivered,
  type Delivery,
  noJobs,
  RecordQueue,
  type RecordStore,
} from "../record-queue.js";
import { lockFolder } from "./folder-lock.js";

export interface FileQueueOptions extends QueueOptions {
  /** Made if it is not there. */
  readonly folder: string;
  /** Hears of folders that hold no readable job; they are left alone. */
  readonly onNotice?: (line: string) => void;
}

/**
 * Opens the queue of a folder. Jobs that a former process had begun are delivered again when their lease has run out,
 * which is at once: their workers were children of that process.
 *
 * @throws UsageError `BAD_OPTION`; ConfigError `QUEUE_IN_USE` when another living process has the folder. Calls of the queue throw ConfigError `QUEUE_WRITE` where a job
 * can not be written: it is as it was then
 */
export async function openFileQueue(given: FileQueueOptions): Promise<JobQueue> {
  const options = resolveQueueOptions(given, "openFileQueue", { folder: "string", onNotice: "function" });
  const { folder, onNotice } = given;
  await mkdir(folder, { recursive: true });
  const lock = await lockFolder(folder);
  try {
    const store = await FileStore.open(folder, lock.release, onNotice ?? (() => {}));
    return new RecordQueue(store, new LocalDelivery(store), options);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

class FileStore implements RecordStore {
  readonly #folder: string;
  readonly #records = new Map<string, JobRecord>();
  readonly #release: () => Promise<void>;
  /** Changes are made one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(folder: string, release: () => Promise<void>) {
    this.#folder = folder;
    this.#release = release;
  }

  static async open(
    folder: string,
    release: () => Promise<void>,
    onNotice: (line: string) => void,
  ): Promise<FileStore> {
    const store = new FileStore(folder, release);
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      try {
        const record = jobRecordSchema.parse(JSON.parse(await readFile(store.#path(entry.name), "utf8")));
        if (record.id !== entry.name) throw new Error(`it names the job ${record.id}`);
        // Who had it is gone with the process that had this folder.
        const lease = record.lease && { ...record.lease, until: 0 };
        store.#records.set(record.id, { ...record, lease });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") continue;
        onNotice(`${store.#path(entry.name)} is not read as a job: ${(error as Error).message}`);
      }
    }
    return store;
  }

  records(): JobRecord[] {
    return [...this.#records.values()].sort(compareRecords);
  }

  insert(record: JobRecord): Promise<void> {
    return this.#turn(async () => {
      if (this.#records.has(record.id))
        throw new ConfigError("JOB_EXISTS", `there is a job ${record.id} already`);
      await this.#write(record);
    });
  }

  async read(id: string): Promise<JobRecord | undefined> {
    return this.#records.get(id);
  }

  update(id: string, change: JobTransition): Promise<JobRecord | undefined> {
    return this.#turn(async () => {
      const next = changed(this.#records.get(id), change);
      // A beat that moves nothing but its lease needs no disk: leases end with this process.
      if (next && change.do === "beat" && next.progress === this.#records.get(id)?.progress)
        this.#records.set(id, next);
      else if (next) await this.#write(next);
      return next;
    });
  }

  delete(id: string): Promise<boolean> {
    return this.#turn(async () => {
      // The record first: without it the folder is no job.
      await rm(this.#path(id), { force: true });
      await rm(join(this.#folder, id), { recursive: true, force: true });
      return this.#records.delete(id);
    });
  }

  async list(
    owner: string,
    after: JobRecord | undefined,
    limit: number,
    order: "asc" | "desc",
  ): Promise<JobRecord[]> {
    const sign = order === "asc" ? 1 : -1;
    return this.records()
      .filter((job) => job.owner === owner)
      .sort((a, b) => sign * compareRecords(a, b))
      .filter((job) => !after || sign * compareRecords(job, after) > 0)
      .slice(0, limit);
  }

  async counts(owner?: string): Promise<Record<JobStatus, number>> {
    const counts = noJobs();
    for (const job of this.#records.values())
      if (owner === undefined || job.owner === owner) counts[job.status]++;
    return counts;
  }

  async close(): Promise<void> {
    await this.#last.catch(() => {});
    await this.#release();
  }

  #path(id: string): string {
    return join(this.#folder, id, "job.json");
  }

  #turn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  /** The record on disk is the former one until this resolves. @throws ConfigError `QUEUE_WRITE` */
  async #write(record: JobRecord): Promise<void> {
    const path = this.#path(record.id);
    const partial = `${path}.partial`;
    try {
      await mkdir(join(this.#folder, record.id), { recursive: true });
      const file = await open(partial, "w");
      try {
        await file.writeFile(`${JSON.stringify(record)}\n`);
        // Durable before anybody hears of it; a beat is not worth a disk's turn.
        if (record.status !== "in_progress") await file.sync();
      } finally {
        await file.close();
      }
      await rename(partial, path);
    } catch (cause) {
      await rm(partial, { force: true }).catch(() => {});
      throw new ConfigError(
        "QUEUE_WRITE",
        `the job ${record.id} can not be written: ${(cause as Error).message}`,
        {
          where: path,
          fix: "Free space on the disk of the queue's folder, or let this user write there.",
          fault: "run",
          cause,
        },
      );
    }
    this.#records.set(record.id, record);
  }
}

/** Looks through the records of this process; nothing has to be announced to others. */
class LocalDelivery implements Delivery {
  readonly #store: FileStore;
  readonly #out = new Set<string>();
  readonly #waiting = new Set<() => void>();

  constructor(store: FileStore) {
    this.#store = store;
  }

  async announce(): Promise<void> {
    for (const wake of this.#waiting) wake();
  }

  async next(signal: AbortSignal): Promise<Delivered | undefined> {
    const now = Date.now();
    const open = this.#store.records().filter((job) => !isFinished(job));
    const free = open.find(
      (job) =>
        (job.lease === null && !this.#out.has(job.id)) || (job.lease !== null && job.lease.until <= now),
    );
    if (!free) {
      const ends = open.flatMap((job) => (job.lease ? [job.lease.until - now] : []));
      await this.#wait(Math.max(1, Math.min(1000, ...ends)), signal);
      return undefined;
    }
    // Between here and the record's lease nobody else may find it.
    const { id } = free;
    this.#out.add(id);
    const done = async () => {
      this.#out.delete(id);
    };
    return { id, keep: async () => {}, done, again: async () => done().then(() => this.announce()) };
  }

  async withdraw(id: string): Promise<void> {
    this.#out.delete(id);
  }

  async close(): Promise<void> {
    await this.announce();
  }

  #wait(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
      if (signal.aborted) wake();
    });
  }
}
