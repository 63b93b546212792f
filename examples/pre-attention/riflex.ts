/**
 * Another rotary embedding: RIFLEx as a hook. Tables hold one row per token, the temporal pairs first, so the hook writes
 * these columns anew and leaves those of height and width as they are.
 */
import {
  type AttentionProcessor,
  concat,
  identifyIntrinsicFrequency,
  type RotaryTables,
  riflexFrequencies,
  type VideoGeometry,
} from "@lvsa/core";
import { type Device, slice, type Tensor } from "@lvsa/runtime";

export interface RiflexHookOptions {
  /** Channels of a head that encode time (`temporalDim` of the transformer). */
  readonly temporalDim: number;
  /** Target length divided by training length. */
  readonly scale: number;
  /** Latent frames the model was trained on. */
  readonly trainingLength: number;
  /** Which frequency is slowed down; default: the one whose period is nearest the training length. */
  readonly k?: number;
  /** Default 10000. */
  readonly theta?: number;
}

/** The hook, for `dispatcher.addHook("riflex", riflex.process)`. Disposing it frees its tables. */
export class RiflexHook implements Disposable {
  readonly #temporalDim: number;
  readonly #frequencies: Float64Array;
  /** All layers of a pass come with the same tables, so one change serves them. */
  #made: { readonly of: RotaryTables; readonly tables: RotaryTables } | undefined;

  /** @throws UsageError when the frequency does not exist */
  constructor({ temporalDim, scale, trainingLength, theta = 10_000, ...given }: RiflexHookOptions) {
    const k = given.k ?? identifyIntrinsicFrequency(temporalDim, trainingLength, theta);
    this.#temporalDim = temporalDim;
    this.#frequencies = riflexFrequencies({ temporalDim, k, scale, trainingLength, theta });
  }

  readonly process: AttentionProcessor = (call, next) => {
    const { device, rotary, geometry } = call;
    // Streams without positions or frames: text.
    if (!rotary || !geometry) return next(call);
    if (this.#made?.of !== rotary) {
      this[Symbol.dispose]();
      this.#made = { of: rotary, tables: this.#change(device, rotary, geometry) };
    }
    return next({ ...call, rotary: this.#made!.tables });
  };

  [Symbol.dispose](): void {
    this.#made?.tables.cos.dispose();
    this.#made?.tables.sin.dispose();
    this.#made = undefined;
  }

  #change(device: Device, { cos, sin }: RotaryTables, { patchesPerFrame }: VideoGeometry): RotaryTables {
    const pairs = this.#temporalDim / 2;
    const angles = Float64Array.from(
      { length: cos.dim(0) * pairs },
      (_, i) => Math.floor(i / pairs / patchesPerFrame) * this.#frequencies[i % pairs]!,
    );
    const changed = (table: Tensor, f: (angle: number) => number) =>
      device.scope(() => {
        const [tokens, width] = table.shape as [number, number];
        const time = device.upload(Float32Array.from(angles, f), [tokens, pairs]);
        return pairs === width ? time : concat(device, [time, slice(device, table, 1, pairs, width)], 1);
      });
    // They outlive the layer's scope: the next layers use them too.
    return { cos: device.keep(changed(cos, Math.cos)), sin: device.keep(changed(sin, Math.sin)) };
  }
}
