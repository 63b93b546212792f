/** From an autoencoder's chunks to the RGB bytes of single frames. */
import { countNotFinite, type Device, type Tensor, throwIfAborted, toRgbFrames } from "@lvsa/runtime";
import { NotFiniteError } from "./not-finite.js";
import { pacedChunks } from "./paced-chunks.js";
import { readAhead } from "./read-ahead.js";
import type { HostTensor } from "./video-pipeline.js";

export interface RgbFramesOptions {
  readonly signal?: AbortSignal | undefined;
  /** What is decoded, for an error's `latents`. */
  readonly latents?: HostTensor | undefined;
  /** Hears of the number of chunks done. */
  readonly onChunk?: (done: number) => void;
}

/**
 * Reads chunks `[1, t, H, W, 3]` in [−1, 1] as they come, disposes them, and yields `[H, W, 3]` bytes per frame.
 *
 * @throws AbortError, NotFiniteError for a frame that holds NaN
 */
export async function* rgbFrames(
  device: Device,
  chunks: Iterable<Tensor> | AsyncIterable<Tensor>,
  options: RgbFramesOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  let done = 0;
  let begun = 0;
  throwIfAborted(options.signal, "decoding");
  const read = async (chunk: Tensor) => {
    begun += 1;
    const size = chunk.dim(2) * chunk.dim(3) * 3;
    return { bytes: await readFrames(device, chunk, options, begun), size };
  };
  for await (const { bytes, size } of readAhead(pacedChunks(device, chunks), read)) {
    for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
    done += 1;
    options.onChunk?.(done);
    throwIfAborted(options.signal, "decoding");
  }
}

async function readFrames(
  device: Device,
  chunk: Tensor,
  { latents }: RgbFramesOptions,
  number: number,
): Promise<Uint8Array> {
  const read = () => {
    using decoded = chunk;
    using frames = toRgbFrames(device, decoded);
    return Promise.all([countNotFinite(device, decoded), device.readBytes(frames)]);
  };
  // What is read is recorded when this returns, and the tensors are free for what comes next.
  const [bad, bytes] = await read();
  if (bad > 0) throw new NotFiniteError("vae", `frames of chunk ${number}`, { latents });
  return bytes;
}
