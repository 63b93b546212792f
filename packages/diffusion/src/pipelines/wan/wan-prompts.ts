/** Prompts to padded text embeddings, as diffusers' `WanPipeline` makes them: padding is masked in the encoder. */
import { type Device, type FolderReader, subFolder } from "@lvsa/runtime";
import { loadT5Tokenizer } from "@lvsa/tokenizers/t5";
import { promptClean } from "../../prompts/prompt-clean.js";
import { T5PromptEncoder } from "../t5-prompts.js";

export async function openWanPrompts(device: Device, folder: FolderReader): Promise<T5PromptEncoder> {
  const tokenizer = await loadT5Tokenizer(subFolder(folder, "tokenizer"));
  return new T5PromptEncoder(device, folder, (text, maxLength) =>
    tokenizer.encode(promptClean(text), { maxLength, padding: "none" }),
  );
}
