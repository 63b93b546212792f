/** What pipelines use of a text encoder, whatever its kind. */
import type { Tensor } from "@lvsa/runtime";

export interface EncodeOptions {
  readonly signal?: AbortSignal;
  /** Hears of finished layers. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface TextEncoder {
  /**
   * Hidden states `[1, ids.length, width]` f32 of each prompt's token ids, with one pass over the layers' weights for
   * all of them. The caller disposes them; after an error none is left.
   *
   * @throws WeightsError `BAD_TOKEN_ID`, `MISSING_TENSOR`; AbortError
   */
  encode(prompts: readonly ArrayLike<number>[], options?: EncodeOptions): Promise<Tensor[]>;
}
