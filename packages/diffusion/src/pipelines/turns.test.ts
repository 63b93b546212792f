import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Turns } from "./turns.js";

const never = new AbortController().signal;
beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Whether a promise has settled by now. */
async function isDone(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  void promise.then(
    () => {
      done = true;
    },
    () => {
      done = true;
    },
  );
  await vi.advanceTimersByTimeAsync(0);
  return done;
}

describe("turns", () => {
  it("come one after the other, in order", async () => {
    const turns = new Turns();
    const first = await turns.take(never);
    const second = turns.take(never);
    const third = turns.take(never);
    expect(await isDone(second)).toBe(false);
    first.end();
    expect(await isDone(second)).toBe(true);
    expect(await isDone(third)).toBe(false);
    (await second).end();
    expect(await isDone(third)).toBe(true);
  });

  it("pass on when a rest lasts, and wait in line to go on", async () => {
    const turns = new Turns();
    const first = await turns.take(never);
    const second = turns.take(never);
    first.rest(100);
    expect(await isDone(second)).toBe(false);
    await vi.advanceTimersByTimeAsync(99);
    expect(await isDone(second)).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await isDone(second)).toBe(true);
    const resumed = first.resume(never);
    expect(await isDone(resumed)).toBe(false);
    (await second).end();
    expect(await isDone(resumed)).toBe(true);
    // The first has it again, and works.
    expect(await isDone(turns.take(never))).toBe(false);
  });

  it("stay where somebody goes on in time", async () => {
    const turns = new Turns();
    const first = await turns.take(never);
    first.rest(100);
    const second = turns.take(never);
    await vi.advanceTimersByTimeAsync(50);
    await first.resume(never);
    await vi.advanceTimersByTimeAsync(1000);
    expect(await isDone(second)).toBe(false);
  });

  it("skip who leaves the line", async () => {
    const turns = new Turns();
    const first = await turns.take(never);
    const controller = new AbortController();
    const second = turns.take(controller.signal);
    const third = turns.take(never);
    controller.abort("enough");
    await expect(second).rejects.toMatchObject({ code: "ABORTED", cause: "enough" });
    first.end();
    expect(await isDone(third)).toBe(true);
    await expect(turns.take(AbortSignal.abort("late"))).rejects.toMatchObject({ cause: "late" });
  });
});
