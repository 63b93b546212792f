export { promptClean } from "./prompt-clean.js";
export { COGVIDEOX_MAX_SEQUENCE_LENGTH, encodeCogVideoXPrompt } from "./prompts-cogvideox.js";
export {
  type Cosmos3PromptOptions,
  cosmos3Chat,
  cosmos3PromptText,
  encodeCosmos3Prompt,
} from "./prompts-cosmos3.js";
export {
  encodeHunyuanVideo15Glyphs,
  encodeHunyuanVideo15Prompt,
  HUNYUAN_VIDEO_15_CROP_START,
  HUNYUAN_VIDEO_15_GLYPH_LENGTH,
  HUNYUAN_VIDEO_15_TEXT_LENGTH,
  hunyuanVideo15Chat,
  hunyuanVideo15GlyphText,
} from "./prompts-hunyuan.js";
export { encodeWanPrompt, WAN_MAX_SEQUENCE_LENGTH } from "./prompts-wan.js";
