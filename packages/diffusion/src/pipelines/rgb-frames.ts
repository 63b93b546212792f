/** From an autoencoder's chunks to the RGB bytes of single frames. */
import { type Device, type Tensor, toRgbFrames } from "@lvsa/runtime";
import { stopIfAborted } from "./denoise.js";

/**
 * Reads chunks `[1, t, H, W, 3]` in [−1, 1] as they come, disposes them, and yields `[H, W, 3]` bytes per frame.
 * @param onChunk hears of the number of chunks done
 */
export async function* rgbFrames(
  device: Device,
  chunks: Iterable<Tensor>,
  options: { readonly signal?: AbortSignal; readonly onChunk?: (done: number) => void } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  let done = 0;
  for (const chunk of chunks) {
    stopIfAborted(options.signal);
    const frames = toRgbFrames(device, chunk);
    chunk.dispose();
    const bytes = await device.readBytes(frames);
    const size = frames.dim(2) * frames.dim(3) * 3;
    frames.dispose();
    for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
    done += 1;
    // The first chunk has another shape than those that follow: what it needed fits none of them.
    if (done === 1) await device.releaseMemory();
    options.onChunk?.(done);
  }
}
