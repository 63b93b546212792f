/** Prompts as each family's text encoders read them: cleaned, in their chats, as token ids. An entry of its own: few need it, and it is large. */
export * from "./prompts/index.js";
