/** Entry `@lvsa/web/worker`: the program of the worker that generates. `createGenerator` starts it. */
import "./worker/no-eval.js";
import { type Port, serveCalls } from "./worker/serve-calls.js";

/**
 * Held for as long as the worker lives: who waits for it learns that the worker is gone, which browsers do not say of one
 * that ran out of memory.
 */
function holdLock(): Promise<string | undefined> {
  const locks = globalThis.navigator?.locks;
  if (!locks) return Promise.resolve(undefined);
  const name = `lvsa/worker/${crypto.randomUUID()}`;
  return new Promise((resolve) => {
    void locks.request(name, () => {
      resolve(name);
      return new Promise<never>(() => undefined);
    });
  });
}

// Listening begins at once: a message that came while something is awaited here would be lost.
serveCalls(globalThis as unknown as Port, holdLock());
