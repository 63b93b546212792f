import { afterEach, expect, it, vi } from "vitest";
import { pause } from "./pause.js";

afterEach(() => void vi.useRealTimers());

it("waits its time, and no longer than the signal allows", async () => {
  vi.useFakeTimers();
  const woken: string[] = [];
  const stop = new AbortController();
  const listeners = vi.spyOn(stop.signal, "removeEventListener");
  void pause(1000).then(() => woken.push("time"));
  void pause(60_000, stop.signal).then(() => woken.push("stopped"));
  void pause(60_000, AbortSignal.abort()).then(() => woken.push("stopped before"));
  await vi.advanceTimersByTimeAsync(999);
  expect(woken).toEqual(["stopped before"]);
  await vi.advanceTimersByTimeAsync(1);
  stop.abort();
  await vi.advanceTimersByTimeAsync(0);
  expect(woken).toEqual(["stopped before", "time", "stopped"]);
  // Nothing is left behind on a signal that lives longer than many pauses, and no timer runs on.
  expect(listeners).toHaveBeenCalledOnce();
  expect(vi.getTimerCount()).toBe(0);
});
