/**
 * Keys and values of the frames that came before, for attention that looks back over a whole clip while the clip
 * is worked on frame by frame. One pair of buffers per layer, as long as the clip.
 */
import type { Device, Tensor } from "@lvsa/runtime";

export class AttentionMemory {
  readonly #device: Device;
  readonly #frames: number;
  readonly #layers = new Map<string, { key: Tensor; value: Tensor; used: number }>();

  /** @param frames frames of the clip */
  constructor(device: Device, frames: number) {
    this.#device = device;
    this.#frames = frames;
  }

  /**
   * Room for the next `count` rows of a layer, after the rows of former calls; `[frames · rowsPerFrame, width]`
   * each, of which rows before `end` are in use once `start` to `end` are written.
   */
  grow(
    name: string,
    count: number,
    rowsPerFrame: number,
    width: number,
  ): { key: Tensor; value: Tensor; start: number; end: number } {
    let layer = this.#layers.get(name);
    if (!layer) {
      const shape = [this.#frames * rowsPerFrame, width];
      const make = () => this.#device.keep(this.#device.empty(shape));
      layer = { key: make(), value: make(), used: 0 };
      this.#layers.set(name, layer);
    }
    const start = layer.used;
    layer.used += count;
    return { key: layer.key, value: layer.value, start, end: layer.used };
  }

  clear(): void {
    for (const { key, value } of this.#layers.values()) {
      key.dispose();
      value.dispose();
    }
    this.#layers.clear();
  }
}
