/** HunyuanVideo 1.5: a chat for Qwen2.5-VL, and the quoted texts of the prompt for the ByT5 glyph encoder. */
import type { ChatMessage, EncodedText, Tokenizer } from "@lvsa/tokenizers";

/** Tokens of the rendered chat before the prompt; the encoder's rows for them are dropped. */
export const HUNYUAN_VIDEO_15_CROP_START = 108;
/** Rows of text that reach the transformer. */
export const HUNYUAN_VIDEO_15_TEXT_LENGTH = 1000;
/** Rows of glyph text that reach the transformer. */
export const HUNYUAN_VIDEO_15_GLYPH_LENGTH = 256;

// The runs of nine spaces come from the original's line continuations, and the model was trained with them.
const SYSTEM_MESSAGE = [
  "You are a helpful assistant. Describe the video by detailing the following aspects:",
  "1. The main content and theme of the video.",
  "2. The color, shape, size, texture, quantity, text, and spatial relationships of the objects.",
  "3. Actions, events, behaviors temporal relationships, physical movement changes of the objects.",
  "4. background environment, light, style and atmosphere.",
  "5. camera angles, movements, and transitions used in the video.",
].join(" ".repeat(9));

/** An empty prompt becomes a space. */
export function hunyuanVideo15Chat(prompt: string): ChatMessage[] {
  return [
    { role: "system", content: SYSTEM_MESSAGE },
    { role: "user", content: prompt === "" ? " " : prompt },
  ];
}

/**
 * Ids of the rendered chat, padded to crop + text length. The first `HUNYUAN_VIDEO_15_CROP_START` rows of the
 * encoder's output (and of the mask) are to be dropped.
 */
export function encodeHunyuanVideo15Prompt(
  tokenizer: Tokenizer,
  prompt: string,
  textLength = HUNYUAN_VIDEO_15_TEXT_LENGTH,
): EncodedText {
  const chat = tokenizer.renderChat(hunyuanVideo15Chat(prompt), { addGenerationPrompt: true });
  return tokenizer.encode(chat, {
    maxLength: textLength + HUNYUAN_VIDEO_15_CROP_START,
    addSpecialTokens: false,
  });
}

/**
 * The texts in straight or curly double quotes, each once, as `Text "a". Text "b". `; undefined without any.
 * A quote does not span lines.
 */
export function hunyuanVideo15GlyphText(prompt: string): string | undefined {
  const found = Array.from(
    prompt.matchAll(/"([^\n]*?)"|“([^\n]*?)”/gu),
    (match) => match[1] || match[2] || "",
  );
  if (found.length === 0) return undefined;
  return [...new Set(found)].map((text) => `Text "${text}". `).join("");
}

/** Ids of the glyph text; undefined where the prompt quotes none: rows and mask are then zero. */
export function encodeHunyuanVideo15Glyphs(
  tokenizer: Tokenizer,
  prompt: string,
  glyphLength = HUNYUAN_VIDEO_15_GLYPH_LENGTH,
): EncodedText | undefined {
  const text = hunyuanVideo15GlyphText(prompt);
  return text === undefined ? undefined : tokenizer.encode(text, { maxLength: glyphLength });
}
