/** Waiting that can be cut short. */

/**
 * Resolves after `milliseconds`, or as soon as the signal fires: whether that ends the work is the caller's to say, with
 * `throwIfAborted`.
 */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    if (signal?.aborted) wake();
    else signal?.addEventListener("abort", wake);
  });
}
