/** Jobs on PostgreSQL: records are rows of ours, pg-boss brings their ids to workers. */
import { type JobQueue, openSharedQueue, type QueueOptions, resolveQueueOptions } from "@lvsa/jobs";
import pg from "pg";
import { PgBossDelivery } from "./pgboss-delivery.js";
import { PostgresStore } from "./postgres-store.js";

export interface PgBossOptions extends QueueOptions {
  /** `postgres://user:password@host:port/database` */
  readonly url: string;
  /** Schema of our table, and with `_boss` behind it of pg-boss's; both are made if they are not there. Default `lvsa`. */
  readonly schema?: string;
  /** How often a worker that waits looks for a job; default 500 ms. */
  readonly pollMs?: number;
}

/**
 * Opens the queue; any number of processes may.
 * @throws UsageError `BAD_OPTION` for options that are unknown or of another kind
 */
export async function openPgBossQueue(options: PgBossOptions): Promise<JobQueue> {
  const own = { url: "string", schema: "string", pollMs: "number" };
  const queue = resolveQueueOptions(options, "openPgBossQueue", own);
  const { url, schema = "lvsa", pollMs = 500 } = options;
  const pool = new pg.Pool({ connectionString: url, max: 5 });
  // A lost idle connection is replaced at the next query; without a listener it would end the process.
  pool.on("error", () => {});
  const store = new PostgresStore(pool, schema);
  return openSharedQueue({ store, delivery: new PgBossDelivery(url, schema, store, pollMs) }, queue);
}
