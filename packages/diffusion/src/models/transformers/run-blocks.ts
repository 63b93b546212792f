/** The middle of every transformer's forward pass: one block after the other, with bounded work in flight. */
import { type Device, disposeTensors, type ScopeResult, type Tensor, throwIfAborted } from "@lvsa/runtime";
import type { Tap } from "./forward-hooks.js";

/** What a caller may do with a forward pass while it runs. */
export interface PassControl {
  /** Stops before the next block, with an AbortError. */
  readonly signal?: AbortSignal | undefined;
  /** Hears of blocks that were handed to the GPU; at most about 250 ms of them are not done yet. */
  readonly onBlock?: ((done: number, count: number) => void) | undefined;
}

/**
 * Records `count` blocks on `first`, which it takes over, and `finish` on the last result. Each block runs in a scope
 * and may hand tensors of its input on. Returns what `finish` made; nothing else is left, also after an error.
 * @throws AbortError, and errors of earlier work
 */
export async function runBlocks<State extends ScopeResult>(
  device: Device,
  count: number,
  first: State,
  control: PassControl,
  block: (state: State, index: number) => State,
  finish: (state: State) => Tensor,
): Promise<Tensor> {
  let state = first;
  try {
    for (let index = 0; index < count; index++) {
      throwIfAborted(control.signal, "the forward pass");
      const previous = state;
      state = device.scope(() => block(previous, index));
      disposeTensors(previous, state);
      await device.pace();
      control.onBlock?.(index + 1, count);
    }
    return device.scope(() => finish(state));
  } finally {
    disposeTensors(state);
  }
}

/** The residual streams of joint attention, f32. */
export interface Streams extends Record<string, Tensor> {
  readonly hidden: Tensor;
  readonly encoder: Tensor;
}

/** What goes into the blocks of joint attention; all of it is theirs to free. */
export interface JointStart {
  readonly streams: Streams;
  /** SiLU of the time embedding. */
  readonly activatedTemb: Tensor;
}

/** `runBlocks` over two streams, each of which `tap` hears of after every block. Takes `start` over. */
export async function runJointBlocks(
  device: Device,
  count: number,
  { streams: first, activatedTemb }: JointStart,
  inputs: PassControl & { readonly tap?: Tap | undefined },
  block: (streams: Streams, index: number) => Streams,
  finish: (hidden: Tensor) => Tensor,
): Promise<Tensor> {
  const heard = (previous: Streams, index: number) => {
    const streams = block(previous, index);
    inputs.tap?.(`block${index}.hidden`, streams.hidden);
    inputs.tap?.(`block${index}.encoder`, streams.encoder);
    return streams;
  };
  try {
    return await runBlocks(device, count, first, inputs, heard, ({ hidden }) => finish(hidden));
  } finally {
    activatedTemb.dispose();
  }
}
