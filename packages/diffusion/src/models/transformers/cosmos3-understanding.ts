/**
 * The understanding stream of Cosmos 3: text alone, independent of noise and timestep. It runs once per prompt, and
 * what the generation stream sees of it (keys and values of every layer) is kept for all denoising steps.
 */
import type { KeyValue, RotaryTables, VideoGeometry } from "@lvsa/core";
import type { Device, Tensor } from "@lvsa/runtime";
import { RotaryCache } from "../rotary-cache.js";
import { cosmos3VideoRotary } from "./cosmos3-positions.js";
import type { Cosmos3TransformerConfig } from "./transformer-cosmos3-definition.js";

/** One prompt as the generation stream sees it. Owns its tensors. */
export class Cosmos3Understanding implements Disposable {
  /** Text tokens. */
  readonly length: number;
  readonly #layers: KeyValue[] = [];
  readonly #config: Cosmos3TransformerConfig;
  readonly #rotary: RotaryCache;

  constructor(device: Device, config: Cosmos3TransformerConfig, length: number) {
    this.length = length;
    this.#config = config;
    this.#rotary = new RotaryCache(device);
  }

  /** Takes over the keys and values of the next layer, `[1, length, Hkv, D]` each. */
  push(context: KeyValue): void {
    this.#layers.push(context);
  }

  /** Keys and values of a layer, or undefined where the stream has not come that far (or is disposed). */
  layer(index: number): KeyValue | undefined {
    return this.#layers[index];
  }

  /** Tables of the video tokens, whose positions start behind this text. Kept for the last clip. */
  videoTables(geometry: VideoGeometry, fps: number): RotaryTables {
    const { latentFrames, height, width } = geometry;
    return this.#rotary.tables(`${latentFrames}x${height}x${width}@${fps}`, undefined, () =>
      cosmos3VideoRotary(this.#config, { latentFrames, height, width, textLength: this.length, fps }),
    );
  }

  [Symbol.dispose](): void {
    for (const { key, value } of this.#layers.splice(0)) {
      key.dispose();
      value.dispose();
    }
    this.#rotary[Symbol.dispose]();
  }
}

/** Hears of named intermediate tensors; copy what you want to keep. */
export type UnderstandingTap = (name: string, tensor: Tensor, prompt: number) => void;
