/** Chats as one text, by the checkpoint's own Jinja template. */
import { Template } from "@huggingface/jinja";
import { ConfigError } from "@lvsa/runtime/errors";

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

export interface ChatTemplateOptions {
  /** End with the header of the assistant's turn. Default: false. */
  readonly addGenerationPrompt?: boolean;
  /** Further variables that the template reads. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** `specialTokens`: variables such as `eos_token`. */
export function createChatRenderer(
  source: string,
  specialTokens: Readonly<Record<string, string>>,
): (messages: readonly ChatMessage[], options?: ChatTemplateOptions) => string {
  const failed = (cause: unknown) =>
    new ConfigError("CHAT_TEMPLATE_INVALID", `the chat template fails: ${String(cause)}`, {
      where: "chat_template",
      fix: "Download the tokenizer again.",
      cause,
    });
  let template: Template;
  try {
    template = new Template(source);
  } catch (cause) {
    throw failed(cause);
  }
  return (messages, options = {}) => {
    try {
      return template.render({
        ...specialTokens,
        messages: messages.map((message) => ({ ...message })),
        add_generation_prompt: options.addGenerationPrompt ?? false,
        tools: null,
        documents: null,
        ...options.variables,
      });
    } catch (cause) {
      throw failed(cause);
    }
  };
}
