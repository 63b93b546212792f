/** Embeddings of the last prompts, on the CPU, so that a repeated prompt is not encoded again. */
import type { HostTensor } from "./video-pipeline.js";

/** A prompt as the transformer sees it. */
export interface EncodedPrompt {
  /** `[1, rows, width]` f32. */
  readonly embeds: HostTensor;
  /** Of a second text encoder, where the model has one and the prompt has something for it. */
  readonly embeds2?: HostTensor | undefined;
  /** What was cut off, e.g. `was cut to 512 tokens`; for the user. */
  readonly cuts: readonly string[];
}

/** Some tens of megabytes: 512 rows of 4,096 numbers are 8 MB. A run with more prompts keeps its own. */
const PROMPTS = 8;

export class PromptCache {
  /** Least recently used first. */
  readonly #prompts = new Map<string, EncodedPrompt>();
  #size = PROMPTS;

  /** Room for so many from now on, and never for fewer than usual. */
  reserve(prompts: number): void {
    this.#size = Math.max(PROMPTS, prompts);
    this.#trim();
  }

  get(key: string): EncodedPrompt | undefined {
    const found = this.#prompts.get(key);
    if (!found) return undefined;
    this.#prompts.delete(key);
    this.#prompts.set(key, found);
    return found;
  }

  set(key: string, prompt: EncodedPrompt): void {
    this.#prompts.set(key, prompt);
    this.#trim();
  }

  #trim(): void {
    while (this.#prompts.size > this.#size) this.#prompts.delete(this.#prompts.keys().next().value!);
  }

  clear(): void {
    this.#prompts.clear();
  }
}
