/** Prompts to text embeddings, as diffusers' `CogVideoXPipeline` makes them: padding is encoded like text. */
import { type Device, type FolderReader, subFolder } from "@lvsa/runtime";
import { loadT5Tokenizer } from "@lvsa/tokenizers/t5";
import { encodeCogVideoXPrompt } from "../../prompts/prompts-cogvideox.js";
import { T5PromptEncoder } from "../t5-prompts.js";

export async function openCogVideoXPrompts(device: Device, folder: FolderReader): Promise<T5PromptEncoder> {
  const tokenizer = await loadT5Tokenizer(subFolder(folder, "tokenizer"));
  return new T5PromptEncoder(device, folder, (text, maxLength) =>
    encodeCogVideoXPrompt(tokenizer, text, maxLength),
  );
}
