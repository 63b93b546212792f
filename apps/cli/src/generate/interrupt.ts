/** Ctrl-C and its like: once to stop after the current piece of work and clean up, twice to stop at once. */
import { EXIT, Interruption } from "../exit-codes.js";

export interface Interrupt extends Disposable {
  /** Its reason is an `Interruption`. */
  readonly signal: AbortSignal;
}

/** `lvsa pause` sends the last one: the run is kept, however short it was. */
const SIGNALS = {
  ...{ SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated, SIGHUP: EXIT.hungUp, SIGUSR2: EXIT.interrupted },
} as const;

/** @param line what Ctrl-C is answered with */
export function listenForInterrupt(
  notice: (line: string) => void,
  line = "Stopping after the current step; press Ctrl-C again to stop at once.",
): Interrupt {
  const controller = new AbortController();
  const stop = (signal: NodeJS.Signals) => {
    const code = SIGNALS[signal as keyof typeof SIGNALS];
    if (controller.signal.aborted) process.exit(code);
    if (signal === "SIGINT") notice(line);
    controller.abort(new Interruption(signal, code));
  };
  for (const signal of Object.keys(SIGNALS)) process.on(signal, stop);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const signal of Object.keys(SIGNALS)) process.off(signal, stop);
    },
  };
}
