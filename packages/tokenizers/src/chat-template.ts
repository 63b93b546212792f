/** Chats as one text, by the checkpoint's own Jinja template. */
import { Environment, Interpreter, Template } from "@huggingface/jinja";
import { ConfigError, isLvsaError, quoted } from "@lvsa/runtime/errors";

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

/** Expressions and statements that one rendering may evaluate; a turn of a published template takes about 50. */
const MAX_STEPS = 500_000;
/** Longest list, and longest text above what the messages hold. */
const MAX_LIST = 100_000;
const MAX_TEXT = 1_000_000;

/** `specialTokens`: variables such as `eos_token`. */
export function createChatRenderer(
  source: string,
  specialTokens: Readonly<Record<string, string>>,
): (messages: readonly ChatMessage[], options?: ChatTemplateOptions) => string {
  let template: Template;
  try {
    template = new Template(source);
  } catch (cause) {
    throw failed(cause);
  }
  return (messages, options = {}) => {
    const size = messages.reduce((sum, { content }) => sum + content.length, 0);
    try {
      const environment = createEnvironment({
        ...specialTokens,
        messages: messages.map((message) => ({ ...message })),
        add_generation_prompt: options.addGenerationPrompt ?? false,
        tools: null,
        documents: null,
        ...options.variables,
      });
      const text: unknown = new BoundedInterpreter(environment, MAX_TEXT + 4 * size).run(
        template.parsed,
      ).value;
      if (typeof text !== "string") throw new Error("it gives no text");
      return text;
    } catch (cause) {
      throw failed(cause);
    }
  };
}

function failed(cause: unknown): unknown {
  if (isLvsaError(cause)) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ConfigError("CHAT_TEMPLATE_INVALID", `the chat template fails: ${quoted(reason, 200)}`, {
    where: "chat_template",
    fix: "Download the tokenizer again.",
    cause,
  });
}

/** A template is a program of a stranger's: it ends after a number of steps, whatever loops and macros it has. */
class BoundedInterpreter extends Interpreter {
  #steps = 0;
  readonly #longest: number;

  constructor(environment: Environment, longest: number) {
    super(environment);
    this.#longest = longest;
  }

  override evaluate(...args: Parameters<Interpreter["evaluate"]>): ReturnType<Interpreter["evaluate"]> {
    if (++this.#steps > MAX_STEPS) throw new Error(`it does not end within ${MAX_STEPS} steps`);
    const result = super.evaluate(...args);
    const value: unknown = result.value;
    if (typeof value === "string" && value.length > this.#longest)
      throw new Error(`it makes a text of ${value.length} characters`);
    if (Array.isArray(value) && value.length > MAX_LIST)
      throw new Error(`it makes a list of ${value.length} values`);
    return result;
  }
}

/** The global names of Jinja that chat templates rely on, and the chat's own variables. */
function createEnvironment(variables: Readonly<Record<string, unknown>>): Environment {
  const environment = new Environment();
  const globals: Readonly<Record<string, unknown>> = {
    ...{ true: true, True: true, false: false, False: false, none: null, None: null },
    raise_exception: (message: unknown) => {
      throw new Error(String(message));
    },
    range,
    strftime_now: formatNow,
  };
  for (const [name, value] of Object.entries({ ...globals, ...variables })) environment.set(name, value);
  return environment;
}

/** Python's `range`, for lists of bounded length. */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const count = Math.ceil((stop - start) / step);
  if (step === 0 || !Number.isFinite(count) || count > MAX_LIST)
    throw new Error(`range(${start}, ${stop}, ${step}) is no list of at most ${MAX_LIST} numbers`);
  return Array.from({ length: Math.max(count, 0) }, (_, i) => start + i * step);
}

/** The present time, for templates that tell the model the date. Python's directives that they use. */
function formatNow(format: string): string {
  const now = new Date();
  const name = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat("en-US", options).format(now);
  const two = (value: number) => String(value).padStart(2, "0");
  const parts: Readonly<Record<string, () => string>> = {
    ...{ Y: () => String(now.getFullYear()), m: () => two(now.getMonth() + 1), d: () => two(now.getDate()) },
    ...{ H: () => two(now.getHours()), M: () => two(now.getMinutes()), S: () => two(now.getSeconds()) },
    ...{ B: () => name({ month: "long" }), b: () => name({ month: "short" }), "%": () => "%" },
    ...{ A: () => name({ weekday: "long" }), a: () => name({ weekday: "short" }) },
  };
  return String(format).replace(/%(.)/g, (whole, directive: string) => parts[directive]?.() ?? whole);
}
