/**
 * What causal convolutions remember between chunks of frames: their last input frames. Chunked results then equal
 * those of one long pass. Tensors in the cache outlive scopes; `clear` frees them.
 */
import { concat, type Device, type Tensor } from "@lvsa/runtime";

export class FeatureCache {
  readonly #device: Device;
  readonly #frames = new Map<string, Tensor>();

  constructor(device: Device) {
    this.#device = device;
  }

  get(name: string): Tensor | undefined {
    return this.#frames.get(name);
  }

  /** The last `count` frames before this chunk, `[1, count, H, W, C]`; zeros before the first. */
  history(name: string, x: Tensor, count: number): Tensor {
    const [, , height, width, channels] = x.shape as [number, number, number, number, number];
    return (
      this.get(name) ?? this.#put(name, this.#device.zeros([1, count, height, width, channels], x.dtype))
    );
  }

  /** Remembers the last `count` frames of what was there followed by `x` `[1, T, H, W, C]`. */
  push(name: string, x: Tensor, count: number): void {
    const frames = x.dim(1);
    const rest = x.shape.slice(2);
    const flat = x.reshape([frames, ...rest]);
    const previous = this.#frames.get(name);
    const missing = Math.max(0, count - frames);
    const own = flat.rows(Math.max(0, frames - count), frames);
    let kept: Tensor;
    if (missing > 0 && previous) {
      const old = previous.reshape([previous.dim(1), ...rest]);
      kept = concat(this.#device, [old.rows(old.dim(0) - missing, old.dim(0)), own], 0);
    } else {
      // A copy: a view would keep the whole feature map alive.
      kept = this.#device.empty(own.shape, own.dtype);
      this.#device.copyBytes(own, kept);
    }
    this.#put(name, kept.reshape([1, ...kept.shape]));
  }

  clear(): void {
    for (const tensor of this.#frames.values()) tensor.dispose();
    this.#frames.clear();
  }

  #put(name: string, tensor: Tensor): Tensor {
    this.#frames.get(name)?.dispose();
    this.#frames.set(name, this.#device.keep(tensor));
    return tensor;
  }
}
