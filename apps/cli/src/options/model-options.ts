/** `--model` and the files of single components, as `generate`, `plan` and `inspect` take them. */
import { type Command, Option } from "commander";
import * as z from "zod";

const path = z.string().min(1, "expected a path").optional();

/** By the names that commander gives them. */
export const componentFields = {
  transformer: path,
  transformer2: path,
  textEncoder: path,
  textEncoder2: path,
  vae: path,
  imageEncoder: path,
  tokenizer: path,
  tokenizer2: path,
};

export type ComponentOption = keyof typeof componentFields;

export type ModelOptions = { readonly model?: string | undefined } & {
  readonly [K in ComponentOption]?: string | undefined;
};

const FLAGS: Readonly<Record<ComponentOption, readonly [flag: string, text: string]>> = {
  transformer: ["--transformer <file>", "transformer: safetensors or GGUF, diffusers' or original names"],
  transformer2: ["--transformer-2 <file>", "low-noise transformer of models with two"],
  textEncoder: ["--text-encoder <file>", "text encoder"],
  textEncoder2: ["--text-encoder-2 <file>", "second text encoder (HunyuanVideo)"],
  vae: ["--vae <file>", "autoencoder"],
  imageEncoder: ["--image-encoder <file>", "image encoder (image to video)"],
  tokenizer: ["--tokenizer <path>", "tokenizer: folder, tokenizer.json or spiece.model"],
  tokenizer2: ["--tokenizer-2 <path>", "tokenizer of the second text encoder"],
};

/** `--text-encoder` of `textEncoder`. */
export function componentFlag(name: ComponentOption): string {
  return FLAGS[name][0].split(" ")[0]!;
}

/** Adds the flags of components. */
export function addComponentOptions(command: Command): Command {
  for (const [flag, text] of Object.values(FLAGS)) command.addOption(new Option(flag, text));
  return command;
}

/** What of the components was given. */
export function givenComponents(options: ModelOptions): ComponentOption[] {
  return (Object.keys(FLAGS) as ComponentOption[]).filter((name) => options[name] !== undefined);
}

/** Keys of the library's `CheckpointFiles` in a text for people, as they are typed here. */
export function withComponentFlags(text: string): string {
  return text.replace(/`(\w+)`/g, (whole, name: string) => {
    if (name === "folder") return "--model";
    return Object.hasOwn(FLAGS, name) ? componentFlag(name as ComponentOption) : whole;
  });
}

/** Refinement of a schema: without a model there is nothing to do. */
export function requireModel(options: ModelOptions, context: z.core.$RefinementCtx<unknown>): void {
  if (options.model !== undefined || givenComponents(options).length > 0) return;
  context.addIssue({
    code: "custom",
    path: ["model"],
    message: "expected a folder, a file or a known model",
  });
}
