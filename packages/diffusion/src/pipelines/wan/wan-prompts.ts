/** Prompts to padded text embeddings, as diffusers' `WanPipeline` makes them: padding is masked in the encoder. */
import { type Device, type FolderReader, subFolder } from "@lvsa/runtime";
import { T5PromptEncoder, type Tokenize } from "../t5-prompts.js";

export async function openWanPrompts(device: Device, folder: FolderReader): Promise<T5PromptEncoder> {
  return new T5PromptEncoder(device, folder, await openWanTokenize(folder));
}

/** Ids without padding. */
export async function openWanTokenize(folder: FolderReader): Promise<Tokenize> {
  // Code and tables of characters, which an application loads no sooner than a checkpoint.
  const { loadT5Tokenizer } = await import("@lvsa/tokenizers/t5");
  const tokenizer = await loadT5Tokenizer(subFolder(folder, "tokenizer"));
  const { promptClean } = await import("../../prompts/prompt-clean.js");
  return (text, maxLength) => tokenizer.encode(promptClean(text), { maxLength, padding: "none" });
}
