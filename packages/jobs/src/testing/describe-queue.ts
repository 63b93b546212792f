/** What every queue has to hold, as tests: one suite for the folder, Redis and PostgreSQL. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JobStatus } from "../job.js";
import { type JobQueue, type Lease, LeaseLostError, type NewJob, type QueueOptions } from "../job-queue.js";

export interface QueueFixture {
  /** Opens the queue; a second call while the first is open gives another view of the same jobs. */
  open(options: QueueOptions): Promise<JobQueue>;
  /** Several processes may have it at once. */
  readonly isShared: boolean;
  /** Empties it, so that the next test begins anew. */
  clear(): Promise<void>;
}

const RESULT = { file: "video.mp4", bytes: 1, width: 16, height: 16, frames: 1, fps: 8 };
const job = (owner: string, prompt = "a test"): NewJob => ({ owner, request: { model: "tiny", prompt } });

export function describeQueue(name: string, fixture: () => Promise<QueueFixture>): void {
  describe(name, () => {
    let shared: QueueFixture;
    let queue: JobQueue;
    // Long enough for a busy machine to beat in time.
    const lease = 1000;
    beforeEach(async () => {
      shared = await fixture();
      queue = await shared.open({ leaseMs: lease, maxAttempts: 3 });
    });
    afterEach(async () => {
      await queue.close();
      await shared.clear();
    });
    const take = async (from = queue, ms = 10_000): Promise<Lease> => {
      const taken = await from.take("test", AbortSignal.timeout(ms));
      expect(taken, "a job should be there to be taken").toBeDefined();
      return taken!;
    };
    /** Takes nothing, and sees the job come to an end by itself; how soon depends on how often a queue looks. */
    const endsAs = async (id: string, status: JobStatus) => {
      const deadline = Date.now() + 20_000;
      while ((await queue.get(id, "a"))?.status !== status && Date.now() < deadline) await nothing(100);
      return queue.get(id, "a");
    };
    const nothing = async (ms = 200) =>
      expect(await queue.take("test", AbortSignal.timeout(ms))).toBeUndefined();

    it("brings jobs to workers in their order, each to one", async () => {
      const added = [
        await queue.add(job("a", "1")),
        await queue.add(job("b", "2")),
        await queue.add(job("a", "3")),
      ];
      const taken = [await take(), await take(), await take()];
      expect(taken.map((lease) => lease.job.id)).toEqual(added.map((record) => record.id));
      expect(taken[0]!.job).toMatchObject({ status: "in_progress", attempt: 1, request: { prompt: "1" } });
      await nothing();
      for (const each of taken) await each.complete(RESULT);
      expect(await queue.get(added[0]!.id, "a")).toMatchObject({
        status: "completed",
        progress: 100,
        result: RESULT,
        lease: null,
      });
    });

    it("wakes a worker that waits", async () => {
      const waiting = take();
      const { id } = await queue.add(job("a"));
      expect((await waiting).job.id).toBe(id);
    });

    it("shows a job to its owner alone", async () => {
      const { id } = await queue.add(job("a"));
      expect(await queue.get(id, "b")).toBeUndefined();
      expect(await queue.cancel(id, "b")).toBeUndefined();
      expect(await queue.remove(id, "b")).toBe(false);
      expect((await queue.list("b")).jobs).toEqual([]);
      expect((await queue.list("b", { after: id })).jobs).toEqual([]);
      expect((await queue.get(id, "a"))?.status).toBe("queued");
      expect((await queue.counts("a")).queued).toBe(1);
      expect((await queue.counts("b")).queued).toBe(0);
    });

    it("lists in pages, both ways", async () => {
      const ids: string[] = [];
      for (let i = 0; i < 5; i++) ids.push((await queue.add(job("a", String(i)))).id);
      await queue.add(job("b"));
      const first = await queue.list("a", { limit: 2 });
      expect(first.jobs.map((record) => record.id)).toEqual([ids[4], ids[3]]);
      expect(first.hasMore).toBe(true);
      const rest = await queue.list("a", { limit: 3, after: ids[3]! });
      expect(rest.jobs.map((record) => record.id)).toEqual([ids[2], ids[1], ids[0]]);
      expect(rest.hasMore).toBe(false);
      const forward = await queue.list("a", { limit: 2, order: "asc", after: ids[1]! });
      expect(forward.jobs.map((record) => record.id)).toEqual([ids[2], ids[3]]);
    });

    it("gives a silent worker's job to another, and takes nothing more from the first", async () => {
      const { id } = await queue.add(job("a"));
      const lost = await take();
      await nothing(lease / 4);
      const second = await take();
      expect(second.job).toMatchObject({ id, attempt: 2 });
      await expect(lost.beat(50)).rejects.toBeInstanceOf(LeaseLostError);
      await expect(lost.complete(RESULT)).rejects.toBeInstanceOf(LeaseLostError);
      await second.complete({ ...RESULT, bytes: 2 });
      expect((await queue.get(id, "a"))?.result?.bytes).toBe(2);
      await nothing(2 * lease);
    });

    it("leaves a job with a worker that beats, and shows its progress", async () => {
      const { id } = await queue.add(job("a"));
      const mine = await take();
      for (let i = 1; i <= 8; i++) {
        expect(await mine.beat(i * 10)).toBe("continue");
        await nothing(lease / 4);
      }
      expect((await queue.get(id, "a"))?.progress).toBe(80);
      await mine.complete(RESULT);
    });

    it("fails a job that too many workers began", async () => {
      const { id } = await queue.add(job("a"));
      for (let i = 0; i < 3; i++) expect((await take()).job.attempt).toBe(i + 1);
      expect(await endsAs(id, "failed")).toMatchObject({ error: { code: "WORKER_LOST" }, attempt: 3 });
    });

    it("cancels a waiting job at once, and asks a running one to stop", async () => {
      const waiting = await queue.add(job("a"));
      expect((await queue.cancel(waiting.id, "a"))?.status).toBe("cancelled");
      await nothing();
      const running = await queue.add(job("a"));
      const mine = await take();
      expect((await queue.cancel(running.id, "a"))?.status).toBe("in_progress");
      expect(await mine.beat(10)).toBe("stop");
      await mine.cancelled();
      expect((await queue.get(running.id, "a"))?.status).toBe("cancelled");
      expect((await queue.cancel(running.id, "a"))?.status).toBe("cancelled");
      await nothing(2 * lease);
    });

    it("ends a cancelled job whose worker died", async () => {
      const { id } = await queue.add(job("a"));
      await take();
      await queue.cancel(id, "a");
      expect((await endsAs(id, "cancelled"))?.status).toBe("cancelled");
    });

    it("forgets a removed job, and stops its worker", async () => {
      const { id } = await queue.add(job("a"));
      const mine = await take();
      expect(await queue.remove(id, "a")).toBe(true);
      expect(await queue.remove(id, "a")).toBe(false);
      expect(await mine.beat(10)).toBe("stop");
      await expect(mine.complete(RESULT)).rejects.toBeInstanceOf(LeaseLostError);
      await nothing(2 * lease);
      expect((await queue.list("a")).jobs).toEqual([]);
    });

    it("gives a job back when its worker shuts down, and counts a crash", async () => {
      const { id } = await queue.add(job("a"));
      await (await take()).release();
      const again = await take();
      expect(again.job).toMatchObject({ id, attempt: 1 });
      await again.retry();
      const last = await take();
      expect(last.job.attempt).toBe(2);
      await last.fail({ code: "NOT_FINITE", message: "step 3" });
      expect(await queue.get(id, "a")).toMatchObject({ status: "failed", error: { code: "NOT_FINITE" } });
      await nothing(2 * lease);
    });

    it("keeps its jobs when it is closed and opened again", async () => {
      const ids = [(await queue.add(job("a"))).id, (await queue.add(job("a"))).id];
      await (await take()).complete(RESULT);
      await queue.close();
      queue = await shared.open({ leaseMs: lease });
      expect((await queue.get(ids[0]!, "a"))?.status).toBe("completed");
      expect((await take()).job.id).toBe(ids[1]);
      expect(await queue.counts()).toMatchObject({ completed: 1, in_progress: 1, queued: 0 });
    });

    it("gives each job to one of many workers that take at once", async () => {
      const other = shared.isShared ? await shared.open({ leaseMs: 5000 }) : undefined;
      const ids = await Promise.all(Array.from({ length: 12 }, async () => (await queue.add(job("a"))).id));
      const ended: string[] = [];
      const worker = async (from: JobQueue) => {
        while (ended.length < ids.length) {
          const mine = await from.take("test", AbortSignal.timeout(1000));
          if (!mine) continue;
          await mine.beat(1);
          await mine.complete(RESULT);
          ended.push(mine.job.id);
        }
      };
      await Promise.all([queue, other ?? queue, queue, other ?? queue].map(worker));
      expect(ended.sort()).toEqual([...ids].sort());
      expect((await queue.counts("a")).completed).toBe(ids.length);
      await other?.close();
    });
  });
}
