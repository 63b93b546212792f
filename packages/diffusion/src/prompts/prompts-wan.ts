/** Wan: cleaned prompt, `</s>` at the end, padded to a fixed length; padding is masked in the encoder. */

import type { EncodedText, Tokenizer } from "@lvsa/tokenizers";
import { promptClean } from "./prompt-clean.js";

/** diffusers' default `max_sequence_length`; image-to-video models always take this. */
export const WAN_MAX_SEQUENCE_LENGTH = 512;

export function encodeWanPrompt(
  tokenizer: Tokenizer,
  prompt: string,
  maxSequenceLength = WAN_MAX_SEQUENCE_LENGTH,
): EncodedText {
  return tokenizer.encode(promptClean(prompt), { maxLength: maxSequenceLength });
}
