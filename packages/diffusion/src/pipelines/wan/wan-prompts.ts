/** Prompts to padded text embeddings, as diffusers' `WanPipeline` makes them: padding is masked in the encoder. */
import { type Device, type FolderReader, subFolder } from "@lvsa/runtime";
import { loadTokenizer } from "@lvsa/tokenizers";
import { promptClean } from "../../prompts/prompt-clean.js";
import { T5PromptEncoder } from "../t5-prompts.js";

export async function openWanPrompts(device: Device, folder: FolderReader): Promise<T5PromptEncoder> {
  const tokenizer = await loadTokenizer(subFolder(folder, "tokenizer"));
  return new T5PromptEncoder(device, folder, (text, maxLength) =>
    tokenizer.encode(promptClean(text), { maxLength, padding: "none" }),
  );
}
