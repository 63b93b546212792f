/** BullMQ as a carrier of ids: its lock is the lease, its check for stalled jobs finds workers that fell silent. */
import type { Delivered, Delivery } from "@lvsa/jobs";
import { type Job, Queue, Worker } from "bullmq";
import type { Redis } from "ioredis";

/** Seconds that one request for a job may block. */
const DRAIN_DELAY = 1;

export class BullMqDelivery implements Delivery {
  readonly #connections: Redis[] = [];
  readonly #queue: Queue;
  readonly #worker: Worker;
  readonly #token = crypto.randomUUID();
  readonly #leaseMs: number;
  /** A request that is under way outlives the caller who made it, so that no job is fetched for nobody. */
  #pending: Promise<Job | undefined> | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(connect: () => Redis, name: string, leaseMs: number) {
    this.#leaseMs = leaseMs;
    const connection = () => {
      const redis = connect();
      this.#connections.push(redis);
      return redis;
    };
    const prefix = `${name}:bull`;
    this.#queue = new Queue("video", { connection: connection(), prefix });
    this.#worker = new Worker("video", null, {
      connection: connection(),
      prefix,
      lockDuration: leaseMs,
      stalledInterval: Math.max(50, leaseMs / 4),
      // The record counts attempts.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      drainDelay: DRAIN_DELAY,
    });
    // Errors of single calls are their callers'; the connection's own are tried again.
    this.#queue.on("error", () => {});
    this.#worker.on("error", () => {});
  }

  async start(): Promise<void> {
    await this.#worker.waitUntilReady();
    await this.#worker.startStalledCheckTimer();
  }

  async announce(id: string): Promise<void> {
    // A job with this id that is there already stays as it is.
    await this.#queue.add("video", { id }, { jobId: id, removeOnComplete: true, removeOnFail: true });
  }

  next(signal: AbortSignal): Promise<Delivered | undefined> {
    const result = this.#turn.then(() => this.#fetch(signal));
    this.#turn = result.catch(() => {});
    return result;
  }

  async withdraw(id: string): Promise<void> {
    // A worker that has it ends it when it finds the record gone.
    await this.#queue.remove(id).catch(() => {});
  }

  async close(): Promise<void> {
    await this.#worker.close();
    const job = await this.#pending?.catch(() => undefined);
    await job?.moveToWait(this.#token).catch(() => {});
    await this.#queue.close();
    for (const redis of this.#connections) redis.disconnect();
  }

  async #fetch(signal: AbortSignal): Promise<Delivered | undefined> {
    if (signal.aborted) return undefined;
    this.#pending ??= this.#worker.getNextJob(this.#token);
    const pending = this.#pending;
    let wake = () => {};
    const stopped = new Promise<"stopped">((resolve) => {
      wake = () => resolve("stopped");
      signal.addEventListener("abort", wake);
    });
    try {
      const job = await Promise.race([pending, stopped]);
      if (job === "stopped") return undefined;
      this.#pending = undefined;
      return job && this.#delivered(job);
    } catch (error) {
      this.#pending = undefined;
      throw error;
    } finally {
      signal.removeEventListener("abort", wake);
    }
  }

  #delivered(job: Job): Delivered {
    const token = this.#token;
    return {
      id: String((job.data as { id: string }).id),
      keep: async () => {
        await job.extendLock(token, this.#leaseMs);
      },
      // Without its lock another worker has it, who finds the record as it is.
      done: async () => {
        await job.moveToCompleted("ended", token, false).catch(() => {});
      },
      again: async (afterMs) => {
        const moved = afterMs > 0 ? job.moveToDelayed(Date.now() + afterMs, token) : job.moveToWait(token);
        await Promise.resolve(moved).catch(() => {});
      },
    };
  }
}
