/** An autoencoder's chunks at the receiver's pace. */
import type { Device, Tensor } from "@lvsa/runtime";

/**
 * Hands chunks on as they come; each belongs to the receiver, who asks for the next when this one is read. The first has
 * another shape than those that follow, and memory that it needed fits none of them: it is given back.
 */
export async function* pacedChunks(
  device: Device,
  chunks: Iterable<Tensor> | AsyncIterable<Tensor>,
): AsyncGenerator<Tensor, void, undefined> {
  let isFirst = true;
  for await (const chunk of chunks) {
    yield chunk;
    if (isFirst) await device.releaseMemory();
    isFirst = false;
  }
}
