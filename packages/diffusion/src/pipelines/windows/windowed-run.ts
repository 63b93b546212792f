/** A run in windows: one window's latents and conditions at a time are on the GPU, however many windows there are. */
import type { Conditions } from "../conditions.js";
import type { HostTensor } from "../host-tensor.js";
import { Owned } from "../owned.js";
import { addWindow, type ClipWindow, windowOf } from "./clip-windows.js";
import type { PlannedWindows } from "./window-options.js";

/** A part of the clip that the model sees at once, and what it is conditioned on. */
export interface ClipPart<Condition> {
  readonly latents: HostTensor;
  readonly conditions: Pick<Conditions<Condition>, "positive" | "negative">;
  /** For names of tensors; empty where the part is the clip. */
  readonly name: string;
  readonly index: number;
  readonly count: number;
}

export interface WindowedRunOptions<Condition> {
  readonly plan: PlannedWindows;
  /** Axis of the frames in the latents. */
  readonly axis: number;
  /** Prompts whose conditions stay on the GPU at once, at least 1. */
  readonly resident: number;
  /** What a window with this prompt is conditioned on; what it uploads belongs to `owned`. */
  readonly encode: (prompt: string | undefined, owned: Owned) => Promise<Conditions<Condition>>;
}

export class WindowedRun<Condition> implements Disposable {
  readonly #options: WindowedRunOptions<Condition>;
  /** By prompt, least recently used first. */
  readonly #known = new Map<string | undefined, { conditions: Conditions<Condition>; owned: Owned }>();
  readonly #notes = new Set<string>();

  constructor(options: WindowedRunOptions<Condition>) {
    this.#options = options;
  }

  /** What encoding had to say, each once. */
  get notes(): readonly string[] {
    return [...this.#notes];
  }

  /** The blended prediction of all windows, each by `predict`. */
  async predict(
    latents: HostTensor,
    predict: (part: ClipPart<Condition>) => Promise<Float32Array>,
  ): Promise<Float32Array> {
    const { plan, axis } = this.#options;
    const { windows, weights } = plan.layout;
    const blended: HostTensor = { data: new Float32Array(latents.data.length), shape: latents.shape };
    for (const window of windows) {
      const prediction = await predict({
        ...{ latents: windowOf(latents, axis, window), name: `window${window.index}.` },
        ...{ conditions: await this.#conditions(window), index: window.index, count: windows.length },
      });
      addWindow(blended, axis, window, weights[window.index]!, prediction);
    }
    return blended.data;
  }

  async #conditions({ index }: ClipWindow): Promise<Conditions<Condition>> {
    const { plan, resident, encode } = this.#options;
    const prompt = plan.prompts?.[index];
    const known = this.#known.get(prompt);
    if (known) {
      this.#known.delete(prompt);
      this.#known.set(prompt, known);
      return known.conditions;
    }
    // Room first: two prompts' conditions are never there for one.
    while (this.#known.size >= resident) this.#drop(this.#known.keys().next().value);
    const owned = new Owned();
    try {
      const conditions = await encode(prompt, owned);
      for (const note of conditions.notes ?? []) this.#notes.add(note);
      this.#known.set(prompt, { conditions, owned });
      return conditions;
    } catch (error) {
      owned[Symbol.dispose]();
      throw error;
    }
  }

  #drop(prompt: string | undefined): void {
    this.#known.get(prompt)?.owned[Symbol.dispose]();
    this.#known.delete(prompt);
  }

  [Symbol.dispose](): void {
    for (const prompt of [...this.#known.keys()]) this.#drop(prompt);
  }
}
