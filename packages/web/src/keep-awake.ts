/** Long runs: the screen stays on, and the browser is told not to put the page to sleep. */

/** Holds until it is disposed. What the browser does not have is left out. */
export function keepAwake(): Disposable {
  const over = new AbortController();
  const { locks, wakeLock } = globalThis.navigator as Partial<Pick<Navigator, "locks" | "wakeLock">>;
  // Browsers do not freeze a page in the background that holds a lock.
  void locks?.request(
    `lvsa/awake/${crypto.randomUUID()}`,
    () =>
      new Promise<void>((resolve) => over.signal.addEventListener("abort", () => resolve(), { once: true })),
  );
  let screen: WakeLockSentinel | undefined;
  // It is taken away while the page is hidden, and refused when the battery is low.
  const hold = async () => {
    if (globalThis.document?.visibilityState !== "visible") return;
    const held = await wakeLock?.request("screen").catch(() => undefined);
    if (over.signal.aborted) await held?.release();
    else screen = held;
  };
  void hold();
  globalThis.document?.addEventListener("visibilitychange", () => void hold(), { signal: over.signal });
  return {
    [Symbol.dispose]: () => {
      over.abort();
      void screen?.release();
    },
  };
}
