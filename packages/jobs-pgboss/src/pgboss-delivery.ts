/** pg-boss as a carrier of ids. It knows no heartbeats: workers that fell silent are found by the records' leases. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Delivered, Delivery } from "@lvsa/jobs";
import PgBoss from "pg-boss";
import type { PostgresStore } from "./postgres-store.js";

const QUEUE = "video";
/** pg-boss allows no more than a day; a job that runs longer is delivered again, and left with its worker. */
const EXPIRE_HOURS = 23;

export class PgBossDelivery implements Delivery {
  readonly #boss: PgBoss;
  readonly #store: PostgresStore;
  readonly #pollMs: number;
  #isStarted = false;

  constructor(url: string, schema: string, store: PostgresStore, pollMs: number) {
    this.#boss = new PgBoss({ connectionString: url, schema: `${schema}_boss`, schedule: false });
    // Errors of its upkeep; those of calls are their callers'.
    this.#boss.on("error", () => {});
    this.#store = store;
    this.#pollMs = pollMs;
  }

  async start(): Promise<void> {
    await this.#boss.start();
    this.#isStarted = true;
    // The record counts attempts.
    await this.#boss.createQueue(QUEUE, {
      name: QUEUE,
      policy: "standard",
      retryLimit: 1_000_000,
      retryDelay: 0,
      expireInHours: EXPIRE_HOURS,
    });
  }

  async announce(id: string): Promise<void> {
    // A job with this id that is there already stays as it is.
    await this.#boss.send(QUEUE, { id }, { id: uuidOf(id), expireInHours: EXPIRE_HOURS });
  }

  async next(signal: AbortSignal): Promise<Delivered | undefined> {
    const [job] = (await this.#boss.fetch<{ id: string }>(QUEUE)) ?? [];
    if (job) return this.#delivered(job.data.id);
    for (const id of await this.#store.silent(Date.now())) await this.#boss.fail(QUEUE, uuidOf(id));
    // A stop ends the wait; the caller sees it in its signal.
    await sleep(this.#pollMs, undefined, { signal }).catch(() => {});
    return undefined;
  }

  async withdraw(id: string): Promise<void> {
    await this.#boss.deleteJob(QUEUE, uuidOf(id));
  }

  async close(): Promise<void> {
    if (this.#isStarted) await this.#boss.stop({ graceful: false, wait: true });
  }

  #delivered(id: string): Delivered {
    return {
      id,
      keep: async () => {},
      done: async () => {
        await this.#boss.complete(QUEUE, uuidOf(id));
      },
      again: async (afterMs) => {
        // To fail is how a job comes back; at once, as far as pg-boss is concerned.
        if (afterMs > 0) await sleep(Math.min(afterMs, this.#pollMs));
        await this.#boss.fail(QUEUE, uuidOf(id));
      },
    };
  }
}

/** pg-boss takes uuids only: always the same one for a job. */
function uuidOf(id: string): string {
  const hex = createHash("sha256").update(id).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}
