import { AbortError, LvsaError, UsageError } from "@lvsa/runtime";
import { afterEach, expect, it, vi } from "vitest";
import { createGenerator } from "./generator.js";
import type { Request } from "./protocol.js";
import { fromSent, toSent } from "./sent-error.js";

/** A worker that is answered by the test. */
class FakeWorker extends EventTarget {
  readonly sent: Request[] = [];
  terminated = false;
  postMessage(request: Request): void {
    structuredClone(request);
    this.sent.push(request);
    if ("call" in request && request.call === "open") this.reply({ id: request.id, result: { name: "m" } });
  }
  reply(data: unknown): void {
    queueMicrotask(() => this.dispatchEvent(new MessageEvent("message", { data })));
  }
  terminate(): void {
    this.terminated = true;
  }
}

const workers: FakeWorker[] = [];
const createWorker = () => {
  const worker = new FakeWorker();
  workers.push(worker);
  return worker as unknown as Worker;
};
const open = () => createGenerator({ model: "https://example.org/m", createWorker });
const clip = { bytes: new Uint8Array([1, 2]), format: "mp4" };
afterEach(() => {
  workers.length = 0;
  vi.unstubAllGlobals();
});

it("sends errors as they are", () => {
  const error = new UsageError("BAD_OPTION", "no", { fix: "yes", where: "there" });
  const back = fromSent(structuredClone(toSent(error)));
  expect(back).toMatchObject({
    code: "BAD_OPTION",
    message: "no",
    fix: "yes",
    where: "there",
    isUsage: true,
  });
  expect(back).toBeInstanceOf(LvsaError);
  expect(fromSent(toSent(new AbortError("ABORTED", "x")))).toBeInstanceOf(AbortError);
  expect(fromSent(toSent(new TypeError("t")))).toMatchObject({ code: "FAILED", name: "TypeError" });
});

it("opens an address as a model to keep, and hands out progress, previews and the clip", async () => {
  const generator = await open();
  const [worker] = workers;
  expect(worker!.sent[0]).toMatchObject({
    args: { source: { kind: "url", url: "https://example.org/m", keep: true } },
  });
  const heard: unknown[] = [];
  const made = generator.generate({ prompt: "a" }, { onProgress: (one) => heard.push(one), keepAs: "run" });
  await vi.waitFor(() => expect(worker!.sent).toHaveLength(2));
  expect(worker!.sent[1]).toMatchObject({ call: "generate", args: { previews: false, keepAs: "run" } });
  generator.pause();
  const { id } = worker!.sent[1]!;
  expect(worker!.sent[2]).toEqual({ id, pause: true });
  worker!.reply({ id, progress: { stage: "denoise", done: 1, total: 2 } });
  worker!.reply({ id, result: clip });
  const { blob } = await made;
  expect([blob.type, blob.size]).toEqual(["video/mp4", 2]);
  expect(heard).toEqual([{ stage: "denoise", done: 1, total: 2 }]);
});

it("passes a stop on, and rejects with the caller's reason", async () => {
  const generator = await open();
  const controller = new AbortController();
  const stopped = generator.generate({ prompt: "a" }, { signal: controller.signal });
  await vi.waitFor(() => expect(workers[0]!.sent).toHaveLength(2));
  controller.abort("enough");
  const { id } = workers[0]!.sent[1]!;
  expect(workers[0]!.sent[2]).toEqual({ id, cancel: true });
  workers[0]!.reply({ id, error: toSent(new AbortError("ABORTED", "in the worker")) });
  await expect(stopped).rejects.toMatchObject({ code: "ABORTED", cause: "enough" });
});

it("notices that the browser ended the worker by the lock that it held, and starts another", async () => {
  let free: (() => void) | undefined;
  vi.stubGlobal("navigator", {
    locks: {
      request: (name: string, work: () => void) => {
        expect(name).toBe("alive");
        free = work;
        return Promise.resolve();
      },
    },
  });
  const generator = await open();
  workers[0]!.reply({ ready: true, lock: "alive" });
  const lost = generator.generate({ prompt: "a" });
  await vi.waitFor(() => expect(free).toBeDefined());
  free!();
  await expect(lost).rejects.toMatchObject({ code: "WORKER_GONE" });
  const again = generator.generate({ prompt: "a" });
  await vi.waitFor(() => expect(workers[1]?.sent).toHaveLength(2));
  workers[1]!.reply({ id: workers[1]!.sent[1]!.id, result: clip });
  expect((await again).blob.size).toBe(2);
  generator.dispose();
  await expect(generator.plan({ prompt: "a" })).rejects.toMatchObject({ code: "GENERATOR_DISPOSED" });
});

it("refuses options that can not be sent", async () => {
  const generator = await open();
  const bad = generator.generate({ prompt: "a", image: (() => undefined) as never });
  await expect(bad).rejects.toMatchObject({ code: "NOT_SENDABLE", isUsage: true });
});
