/** The worker's end of the protocol: one call after the other, each with its own signal and gate. */
import { UsageError } from "@lvsa/runtime";
import type { Reply, Request } from "../protocol.js";
import { toSent } from "../sent-error.js";
import { type CallEvents, Session } from "./session.js";

/** What of a worker's global scope is needed. */
export interface Port {
  postMessage(message: Reply, transfer?: Transferable[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent<Request>) => void): void;
}

/** A call that is waiting or at work. */
class Running {
  readonly controller = new AbortController();
  readonly #tell: (isHeld: boolean) => void;
  #isPaused = false;
  #wake: (() => void) | undefined;

  constructor(tell: (isHeld: boolean) => void) {
    this.#tell = tell;
  }

  pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
    if (!isPaused) this.#wake?.();
  }

  /** Waits as long as the call is paused; one that is stopped does not wait. */
  async gate(): Promise<void> {
    const mustWait = () => this.#isPaused && !this.controller.signal.aborted;
    if (!mustWait()) return;
    this.#tell(true);
    while (mustWait()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.controller.signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    this.#tell(false);
  }
}

/** Answers the page for as long as the worker lives. */
export function serveCalls(port: Port, lock: Promise<string | undefined>): void {
  const running = new Map<number, Running>();
  let session: Session | undefined;
  let queue: Promise<void> = Promise.resolve();

  const answer = async (request: Extract<Request, { call: string }>, call: Running): Promise<void> => {
    const { id } = request;
    const events: CallEvents = {
      signal: call.controller.signal,
      onProgress: (progress) => port.postMessage({ id, progress }),
      onNote: (note) => port.postMessage({ id, note }),
      onPreview: (preview) => port.postMessage({ id, preview }, [preview.data.buffer]),
      gate: () => call.gate(),
    };
    try {
      if (request.call === "open") {
        session?.dispose();
        session = undefined;
        session = await Session.open(request.args, events);
        port.postMessage({ id, result: await session.info() });
        return;
      }
      if (!session) {
        throw new UsageError("NO_MODEL", "no model is open in this worker.", { fix: "Open one first." });
      }
      if (request.call === "plan") {
        port.postMessage({ id, result: await session.plan(request.args) });
        return;
      }
      const clip = await session.generate(request.args, events);
      port.postMessage({ id, result: clip }, [clip.bytes.buffer, clip.latents.data.buffer as ArrayBuffer]);
    } catch (error) {
      port.postMessage({ id, error: toSent(error) });
    }
  };

  port.addEventListener("message", ({ data: request }) => {
    if ("cancel" in request) {
      running.get(request.id)?.controller.abort();
      return;
    }
    if ("pause" in request) {
      running.get(request.id)?.pause(request.pause);
      return;
    }
    const { id } = request;
    const call = new Running((held) => port.postMessage({ id, held }));
    running.set(request.id, call);
    queue = queue.then(() => answer(request, call)).finally(() => running.delete(request.id));
  });
  void lock.then((name) => port.postMessage({ ready: true, lock: name }));
}
