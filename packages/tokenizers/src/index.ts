export type { ChatMessage, ChatTemplateOptions } from "./chat-template.js";
export * from "./error-codes.js";
export { loadTokenizer } from "./load-tokenizer.js";
export type { EncodedText, EncodeOptions, Tokenizer } from "./tokenizer.js";
export type { TokenizerFiles } from "./tokenizer-config.js";
