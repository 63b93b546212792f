/** Cosmos 3: a chat whose user turn also states duration, frame rate and size; the transformer embeds its ids. */
import { ConfigError } from "@lvsa/runtime";
import type { ChatMessage, EncodedText, Tokenizer } from "@lvsa/tokenizers";

export interface Cosmos3PromptOptions {
  /** Video frames, not latent ones. A single frame is an image and has no duration. */
  readonly numFrames: number;
  readonly height: number;
  readonly width: number;
  readonly fps: number;
  /** The sentences say "is not" in a negative prompt. */
  readonly negative?: boolean;
  /** `default_use_system_prompt` of the pipeline. Default: true. */
  readonly useSystemPrompt?: boolean;
  readonly addDurationTemplate?: boolean;
  readonly addResolutionTemplate?: boolean;
}

/** The prompt with its sentences, each after a full stop. */
export function cosmos3PromptText(prompt: string, options: Cosmos3PromptOptions): string {
  const { numFrames, height, width, fps, negative = false } = options;
  const isImage = numFrames === 1;
  const is = negative ? "is not" : "is";
  let text = prompt;
  const append = (sentence: string) => {
    const base = text.replace(/\.+$/, "");
    text = base === "" ? sentence : `${base}. ${sentence}`;
  };
  if (!isImage && (options.addDurationTemplate ?? true))
    append(
      `The video ${is} ${formatFixed(numFrames / fps, 1)} seconds long and ${is} of ${formatFixed(fps, 0)} FPS.`,
    );
  if (options.addResolutionTemplate ?? true)
    append(`This ${isImage ? "image" : "video"} ${is} of ${height}x${width} resolution.`);
  return text;
}

export function cosmos3Chat(prompt: string, options: Cosmos3PromptOptions): ChatMessage[] {
  const kind = options.numFrames === 1 ? "images" : "videos";
  const user: ChatMessage = { role: "user", content: cosmos3PromptText(prompt, options) };
  if (options.useSystemPrompt === false) return [user];
  // "a give prompt" is what the model was trained with.
  return [
    { role: "system", content: `You are a helpful assistant who will generate ${kind} from a give prompt.` },
    user,
  ];
}

/** Ids of the rendered chat, then the end-of-text token and `<|vision_start|>`. Not padded. */
export function encodeCosmos3Prompt(
  tokenizer: Tokenizer,
  prompt: string,
  options: Cosmos3PromptOptions,
): EncodedText {
  const chat = tokenizer.renderChat(cosmos3Chat(prompt, options), {
    addGenerationPrompt: true,
    variables: { add_vision_id: false },
  });
  const start = tokenizer.tokenId("<|vision_start|>");
  if (tokenizer.eosTokenId === undefined || start === undefined)
    throw new ConfigError("TOKENIZER_INVALID", "the tokenizer lacks an eos token or <|vision_start|>", {
      where: "text_tokenizer",
      fix: "Use the tokenizer of a Cosmos 3 checkpoint.",
    });
  const { ids } = tokenizer.encode(chat, { addSpecialTokens: false });
  const whole = Int32Array.from([...ids, tokenizer.eosTokenId, start]);
  return {
    ids: whole,
    attentionMask: new Int32Array(whole.length).fill(1),
    length: whole.length,
    untruncatedLength: whole.length,
  };
}

/** Python's `format(value, ".1f")`: where `toFixed` rounds an exact tie up, it goes to the even digit. */
function formatFixed(value: number, digits: number): string {
  const scaled = value * 10 ** digits;
  // Decimal ties that a float holds exactly end in .5 (no digits) or in .25 and .75 (one digit).
  const exact = Number.isInteger(value * 2 ** (digits + 1));
  if (!exact || !Number.isInteger(scaled * 2) || Number.isInteger(scaled)) return value.toFixed(digits);
  return ((2 * Math.round(scaled / 2)) / 10 ** digits).toFixed(digits);
}
