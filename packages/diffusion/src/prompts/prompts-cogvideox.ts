/** CogVideoX: the prompt as it is, `</s>` at the end, padded; the encoder attends to the padding (no mask). */
import type { EncodedText, Tokenizer } from "@lvsa/tokenizers";

/** diffusers' default `max_sequence_length`; the transformer's `max_text_seq_length` says it too. */
export const COGVIDEOX_MAX_SEQUENCE_LENGTH = 226;

export function encodeCogVideoXPrompt(
  tokenizer: Tokenizer,
  prompt: string,
  maxSequenceLength = COGVIDEOX_MAX_SEQUENCE_LENGTH,
): EncodedText {
  return tokenizer.encode(prompt, { maxLength: maxSequenceLength });
}
