/** Records as rows: the whole record as JSON, and beside it what lists and checks look for. */
import {
  changed,
  type JobRecord,
  type JobStatus,
  type JobTransition,
  jobRecordSchema,
  noJobs,
  type RecordStore,
} from "@lvsa/jobs";
import type pg from "pg";

export class PostgresStore implements RecordStore {
  readonly #pool: pg.Pool;
  readonly #schema: string;
  readonly #table: string;

  constructor(pool: pg.Pool, schema: string) {
    this.#pool = pool;
    this.#schema = quoted(schema);
    this.#table = `${this.#schema}.job`;
  }

  async start(): Promise<void> {
    const client = await this.#pool.connect();
    try {
      await client.query("begin");
      // Processes that start at once would each make the table.
      await client.query("select pg_advisory_xact_lock(hashtext($1))", [`lvsa ${this.#table}`]);
      await client.query(`create schema if not exists ${this.#schema}`);
      await client.query(`create table if not exists ${this.#table} (
        id text primary key,
        owner text not null,
        status text not null,
        created_at double precision not null,
        lease_until double precision,
        record jsonb not null
      )`);
      await client.query(
        `create index if not exists job_by_owner on ${this.#table} (owner, created_at, id collate "C")`,
      );
      await client.query(`create index if not exists job_by_status on ${this.#table} (status, lease_until)`);
      await client.query("commit");
    } catch (error) {
      await client.query("rollback").catch(() => {});
      throw error;
    } finally {
      client.release();
    }
  }

  async insert(record: JobRecord): Promise<void> {
    await this.#pool.query(
      `insert into ${this.#table} (id, owner, status, created_at, lease_until, record) values ($1, $2, $3, $4, $5, $6)`,
      [record.id, record.owner, record.status, record.createdAt, null, JSON.stringify(record)],
    );
  }

  async read(id: string): Promise<JobRecord | undefined> {
    const { rows } = await this.#pool.query(`select record from ${this.#table} where id = $1`, [id]);
    return rows[0] && jobRecordSchema.parse(rows[0].record);
  }

  async update(id: string, change: JobTransition): Promise<JobRecord | undefined> {
    const client = await this.#pool.connect();
    try {
      await client.query("begin");
      const { rows } = await client.query(`select record from ${this.#table} where id = $1 for update`, [id]);
      const next = rows[0] && changed(jobRecordSchema.parse(rows[0].record), change);
      if (next)
        await client.query(
          `update ${this.#table} set status = $2, lease_until = $3, record = $4 where id = $1`,
          [id, next.status, next.lease?.until ?? null, JSON.stringify(next)],
        );
      await client.query("commit");
      return next;
    } catch (error) {
      await client.query("rollback").catch(() => {});
      throw error;
    } finally {
      client.release();
    }
  }

  async delete(id: string): Promise<boolean> {
    const { rowCount } = await this.#pool.query(`delete from ${this.#table} where id = $1`, [id]);
    return rowCount === 1;
  }

  async list(
    owner: string,
    after: JobRecord | undefined,
    limit: number,
    order: "asc" | "desc",
  ): Promise<JobRecord[]> {
    const beyond = after
      ? `and (created_at, id collate "C") ${order === "asc" ? ">" : "<"} ($3, $4 collate "C")`
      : "";
    const { rows } = await this.#pool.query(
      `select record from ${this.#table} where owner = $1 ${beyond}
       order by created_at ${order}, id collate "C" ${order} limit $2`,
      [owner, limit, ...(after ? [after.createdAt, after.id] : [])],
    );
    return rows.map((row) => jobRecordSchema.parse(row.record));
  }

  async counts(owner?: string): Promise<Record<JobStatus, number>> {
    const { rows } = await this.#pool.query(
      `select status, count(*)::int as n from ${this.#table} ${owner === undefined ? "" : "where owner = $1"} group by status`,
      owner === undefined ? [] : [owner],
    );
    return Object.assign(noJobs(), Object.fromEntries(rows.map(({ status, n }) => [status, n])));
  }

  /** Ids of jobs that wait, oldest first. */
  queued(): Promise<string[]> {
    return this.#ids("status = 'queued'", []);
  }

  /** Ids of jobs whose workers fell silent. */
  silent(now: number): Promise<string[]> {
    return this.#ids("status = 'in_progress' and lease_until <= $1", [now]);
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #ids(where: string, values: readonly unknown[]): Promise<string[]> {
    const { rows } = await this.#pool.query(
      `select id from ${this.#table} where ${where} order by created_at, id collate "C"`,
      [...values],
    );
    return rows.map((row) => row.id as string);
  }
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
