/** Copies intermediate tensors out of a forward pass. */
import type { Device, Tensor } from "@lvsa/runtime";

export class Taps {
  readonly #device: Device;
  readonly #kept = new Map<string, Tensor>();

  constructor(device: Device) {
    this.#device = device;
  }

  /** Hand this to `forward`. */
  readonly tap = (name: string, tensor: Tensor): void => {
    const copy = this.#device.empty(tensor.shape, tensor.dtype, { pinned: true });
    this.#device.copyBytes(tensor, copy);
    this.#kept.set(name, copy);
  };

  /** Reads everything and forgets it. */
  async read(): Promise<Map<string, Float32Array>> {
    const out = new Map<string, Float32Array>();
    for (const [name, tensor] of this.#kept) {
      out.set(name, await this.#device.read(tensor));
      tensor.dispose();
    }
    this.#kept.clear();
    return out;
  }
}
