/** Jobs on Redis or Valkey: records are keys of ours, BullMQ brings their ids to workers and knows who fell silent. */
import { type JobQueue, openSharedQueue, type QueueOptions, resolveQueueOptions } from "@lvsa/jobs";
import { Redis } from "ioredis";
import { BullMqDelivery } from "./bullmq-delivery.js";
import { RedisStore } from "./redis-store.js";

export interface BullMqOptions extends QueueOptions {
  /** `redis://[:password@]host:port[/database]`, or `rediss://` */
  readonly url: string;
  /** Before all keys; queues with other names do not see each other. Default `lvsa`. */
  readonly name?: string;
}

/**
 * Opens the queue; any number of processes may. Redis has to be durable (`appendonly yes`) and must not evict keys
 * (`maxmemory-policy noeviction`) for jobs to be so.
 * @throws UsageError `BAD_OPTION` for options that are unknown or of another kind
 */
export async function openBullMqQueue(given: BullMqOptions): Promise<JobQueue> {
  const options = resolveQueueOptions(given, "openBullMqQueue", { url: "string", name: "string" });
  const { url, name = "lvsa" } = given;
  const connect = () => {
    const redis = new Redis(url, { maxRetriesPerRequest: null, lazyConnect: true });
    // Each command's own promise carries its error; without a listener ioredis prints every lost connection.
    redis.on("error", () => {});
    return redis;
  };
  const store = new RedisStore(connect(), name);
  return openSharedQueue({ store, delivery: new BullMqDelivery(connect, name, options.leaseMs) }, options);
}
