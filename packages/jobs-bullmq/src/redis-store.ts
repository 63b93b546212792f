/** Records as JSON under one key each, and sorted sets for lists. */
import {
  changed,
  type JobRecord,
  type JobStatus,
  type JobTransition,
  jobRecordSchema,
  noJobs,
  type RecordStore,
} from "@lvsa/jobs";
import type { Redis } from "ioredis";

/** Writes only what nobody changed meanwhile. */
const COMPARE_AND_SET = `
if redis.call("get", KEYS[1]) ~= ARGV[1] then return 0 end
redis.call("set", KEYS[1], ARGV[2])
return 1`;

const CHUNK = 200;

export class RedisStore implements RecordStore {
  readonly #redis: Redis;
  readonly #name: string;

  constructor(redis: Redis, name: string) {
    this.#redis = redis;
    this.#name = name;
  }

  async start(): Promise<void> {
    await this.#redis.connect();
  }

  async insert(record: JobRecord): Promise<void> {
    const score = String(record.createdAt);
    const results = await this.#redis
      .multi()
      .set(this.#key(record.id), JSON.stringify(record), "NX")
      .zadd(this.#all, score, record.id)
      .zadd(this.#owned(record.owner), score, record.id)
      .exec();
    for (const [error] of results ?? []) if (error) throw error;
  }

  async read(id: string): Promise<JobRecord | undefined> {
    const text = await this.#redis.get(this.#key(id));
    return text === null ? undefined : parse(text);
  }

  async update(id: string, change: JobTransition): Promise<JobRecord | undefined> {
    for (;;) {
      const text = await this.#redis.get(this.#key(id));
      const next = text === null ? undefined : changed(parse(text), change);
      if (text === null || !next) return undefined;
      if (await this.#redis.eval(COMPARE_AND_SET, 1, this.#key(id), text, JSON.stringify(next))) return next;
    }
  }

  async delete(id: string): Promise<boolean> {
    const record = await this.read(id);
    if (!record) return false;
    const results = await this.#redis
      .multi()
      .del(this.#key(id))
      .zrem(this.#all, id)
      .zrem(this.#owned(record.owner), id)
      .exec();
    return results?.[0]?.[1] === 1;
  }

  async list(
    owner: string,
    after: JobRecord | undefined,
    limit: number,
    order: "asc" | "desc",
  ): Promise<JobRecord[]> {
    const key = this.#owned(owner);
    let start = 0;
    if (after) {
      const rank = await (order === "asc"
        ? this.#redis.zrank(key, after.id)
        : this.#redis.zrevrank(key, after.id));
      start = rank === null ? 0 : rank + 1;
    }
    const end = start + limit - 1;
    const ids = await (order === "asc"
      ? this.#redis.zrange(key, start, end)
      : this.#redis.zrevrange(key, start, end));
    return this.#readAll(ids);
  }

  async counts(owner?: string): Promise<Record<JobStatus, number>> {
    const counts = noJobs();
    const ids = await this.#redis.zrange(owner === undefined ? this.#all : this.#owned(owner), 0, -1);
    for (const job of await this.#readAll(ids)) counts[job.status]++;
    return counts;
  }

  /** Ids of jobs that wait, oldest first. */
  async queued(): Promise<string[]> {
    const jobs = await this.#readAll(await this.#redis.zrange(this.#all, 0, -1));
    return jobs.filter((job) => job.status === "queued").map((job) => job.id);
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
  }

  async #readAll(ids: readonly string[]): Promise<JobRecord[]> {
    const records: JobRecord[] = [];
    for (let i = 0; i < ids.length; i += CHUNK) {
      const keys = ids.slice(i, i + CHUNK).map((id) => this.#key(id));
      for (const text of await this.#redis.mget(keys)) if (text !== null) records.push(parse(text));
    }
    return records;
  }

  get #all(): string {
    return `${this.#name}:jobs`;
  }

  #owned(owner: string): string {
    return `${this.#name}:owner:${owner}`;
  }

  #key(id: string): string {
    return `${this.#name}:job:${id}`;
  }
}

function parse(text: string): JobRecord {
  return jobRecordSchema.parse(JSON.parse(text));
}
