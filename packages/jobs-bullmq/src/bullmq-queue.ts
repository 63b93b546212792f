/** Jobs on Redis or Valkey: records are keys of ours, BullMQ brings their ids to workers and knows who fell silent. */
import { type JobQueue, type QueueOptions, RecordQueue, resolveQueueOptions } from "@lvsa/jobs";
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
 */
export async function openBullMqQueue({ url, name = "lvsa", ...options }: BullMqOptions): Promise<JobQueue> {
  const { leaseMs } = resolveQueueOptions(options);
  const connect = () => {
    const redis = new Redis(url, { maxRetriesPerRequest: null, lazyConnect: true });
    // Each command's own promise carries its error; without a listener ioredis prints every lost connection.
    redis.on("error", () => {});
    return redis;
  };
  const store = new RedisStore(connect(), name);
  await store.connect();
  const delivery = new BullMqDelivery(connect, name, leaseMs);
  try {
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
