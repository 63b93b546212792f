/** Prompts to text embeddings, as diffusers' `CogVideoXPipeline` makes them: padding is encoded like text. */
import { type Device, type FolderReader, subFolder } from "@lvsa/runtime";
import { loadTokenizer } from "@lvsa/tokenizers";
import { encodeCogVideoXPrompt } from "../../prompts/prompts-cogvideox.js";
import { T5PromptEncoder } from "../t5-prompts.js";

export async function openCogVideoXPrompts(device: Device, folder: FolderReader): Promise<T5PromptEncoder> {
  const tokenizer = await loadTokenizer(subFolder(folder, "tokenizer"));
  return new T5PromptEncoder(device, folder, (text, maxLength) =>
    encodeCogVideoXPrompt(tokenizer, text, maxLength),
  );
}
