/** Reading what the GPU made while it makes the next. */
import type { Tensor } from "@lvsa/runtime";

/**
 * Yields what `read` gets from each chunk, in order. A chunk's reading begins when it comes, and its result is waited for when
 * the next chunk has been recorded, so that the GPU does not stand still in between. `read` owns its chunk.
 */
export async function* readAhead<T>(
  chunks: AsyncIterable<Tensor>,
  read: (chunk: Tensor) => Promise<T>,
): AsyncGenerator<T, void, undefined> {
  let ahead: Promise<T> | undefined;
  try {
    for await (const chunk of chunks) {
      const before = ahead;
      ahead = read(chunk);
      // What goes wrong is said when its turn comes.
      ahead.catch(() => undefined);
      if (before) yield await before;
    }
    const last = ahead;
    ahead = undefined;
    if (last) yield await last;
  } finally {
    // Whoever leaves early leaves no reading behind.
    await ahead?.catch(() => undefined);
  }
}
