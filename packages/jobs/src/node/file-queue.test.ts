import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { describeQueue } from "../testing/describe-queue.js";
import { openFileQueue } from "./file-queue.js";
import { runWorker } from "./worker.js";

const temporary = () => mkdtemp(join(tmpdir(), "lvsa-queue-"));

describeQueue("a queue in a folder", async () => {
  const folder = await temporary();
  return {
    isShared: false,
    open: (options) => openFileQueue({ folder, ...options }),
    clear: () => rm(folder, { recursive: true, force: true }),
  };
});

it("has one owner at a time, and outlives a dead one", async () => {
  const folder = await temporary();
  const queue = await openFileQueue({ folder });
  await expect(openFileQueue({ folder })).rejects.toMatchObject({ code: "QUEUE_IN_USE" });
  await queue.close();
  // A process number that no process has, as a killed owner leaves it.
  await writeFile(join(folder, "owner.lock"), "999999999 1 x\n");
  const opened = await Promise.allSettled([1, 2, 3].map(() => openFileQueue({ folder })));
  const open = opened.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  expect(open).toHaveLength(1);
  await open[0]!.close();
  await rm(folder, { recursive: true });
});

it("leaves what is no job alone, and says so", async () => {
  const folder = await temporary();
  const first = await openFileQueue({ folder });
  const { id } = await first.add({ owner: "a", request: { model: "tiny", prompt: "x" } });
  await first.close();
  await writeFile(join(folder, id, "job.json"), '{"id":');
  const notices: string[] = [];
  const queue = await openFileQueue({ folder, onNotice: (line) => notices.push(line) });
  expect(notices).toHaveLength(1);
  expect(notices[0]).toContain(id);
  expect((await queue.list("a")).jobs).toEqual([]);
  await queue.close();
  await rm(folder, { recursive: true });
});

/** Nothing can be written to a job while a folder stands where its record is written first. */
const fullDisk = async (folder: string, id: string) => {
  const inTheWay = join(folder, id, "job.json.partial");
  await mkdir(inTheWay, { recursive: true });
  return () => rm(inTheWay, { recursive: true });
};
const request = { model: "tiny", prompt: "x" };

it("loses nothing where the disk takes nothing for a while", async () => {
  const folder = await temporary();
  const queue = await openFileQueue({ folder });
  const never = new AbortController().signal;
  const { id } = await queue.add({ owner: "a", request });
  const free = await fullDisk(folder, id);
  const refused = { code: "QUEUE_WRITE", fix: expect.stringMatching(/disk/) };
  await expect(queue.take("w", never)).rejects.toMatchObject(refused);
  await expect(queue.cancel(id, "a")).rejects.toMatchObject(refused);
  expect(await queue.get(id, "a")).toMatchObject({ status: "queued", attempt: 0 });
  const freeOther = await fullDisk(folder, "other");
  await expect(queue.add({ id: "other", owner: "a", request })).rejects.toMatchObject(refused);
  await freeOther();
  await free();
  const lease = (await queue.take("w", never))!;
  expect(lease.job).toMatchObject({ id, attempt: 1 });
  await lease.release();
  await queue.close();
  await rm(folder, { recursive: true });
});

it("takes no job that it could not read again", async () => {
  const folder = await temporary();
  const queue = await openFileQueue({ folder });
  const job = { owner: "a", request: { ...request, seconds: 4 } };
  await expect(queue.add(job)).rejects.toMatchObject({
    code: "BAD_OPTION",
    message: expect.stringMatching(/seconds/),
  });
  expect((await queue.list("a")).jobs).toEqual([]);
  await queue.close();
  await rm(folder, { recursive: true });
});

it("a worker whose result can not be written tells it again, and does not compute it again", async () => {
  const folder = await temporary();
  const queue = await openFileQueue({ folder });
  const { id } = await queue.add({ owner: "a", request });
  const stop = new AbortController();
  const lines: string[] = [];
  let runs = 0;
  const result = { file: "video.mp4", bytes: 1, width: 16, height: 16, frames: 1, fps: 8 };
  let free: (() => Promise<void>) | undefined;
  const log = (line: string) => {
    lines.push(line);
    // The disk has room again once it was said that it had none.
    if (line.includes("can not be written")) void free?.();
  };
  const runner = {
    run: async () => {
      runs += 1;
      free = await fullDisk(folder, id);
      return result;
    },
  };
  const worker = runWorker({ queue, runner, workspace: folder, signal: stop.signal, log });
  await expect.poll(async () => (await queue.get(id, "a"))?.status).toBe("completed");
  stop.abort();
  await worker;
  expect(runs).toBe(1);
  expect(lines.some((line) => line.includes("can not be written"))).toBe(true);
  await queue.close();
  await rm(folder, { recursive: true });
});
