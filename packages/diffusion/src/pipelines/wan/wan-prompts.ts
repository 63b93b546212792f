/** Prompts to padded text embeddings, as diffusers' `WanPipeline` makes them. */
import { type Device, type FolderReader, subFolder } from "@lvsa/runtime";
import { T5EncoderModel } from "../../models/text-encoders/t5-encoder.js";
import { loadTokenizer, promptClean, type Tokenizer } from "../../tokenizers/index.js";
import type { EncodedPrompt } from "../prompt-cache.js";
import { type EncodeRun, PromptEncoder } from "../prompt-embeds.js";
import type { HostTensor } from "../video-pipeline.js";

/** `embeds` are `[1, maxSequenceLength, text_dim]`; rows past the real tokens are zero. */
export class WanPromptEncoder extends PromptEncoder {
  readonly #tokenizer: Tokenizer;

  private constructor(device: Device, folder: FolderReader, tokenizer: Tokenizer) {
    super(device, folder);
    this.#tokenizer = tokenizer;
  }

  static async open(device: Device, folder: FolderReader): Promise<WanPromptEncoder> {
    return new WanPromptEncoder(device, folder, await loadTokenizer(subFolder(folder, "tokenizer")));
  }

  protected override async encode(
    texts: readonly string[],
    maxSequenceLength: number,
    run: EncodeRun,
  ): Promise<EncodedPrompt[]> {
    const tokenized = texts.map((text) =>
      this.#tokenizer.encode(promptClean(text), { maxLength: maxSequenceLength, padding: "none" }),
    );
    const hidden = await this.hiddenStates(
      "text_encoder",
      tokenized.map(({ ids }) => ids),
      run,
      (source, config) => new T5EncoderModel(this.device, source, config),
    );
    return hidden.map((x, i) => ({
      embeds: padded(x, maxSequenceLength),
      cuts:
        tokenized[i]!.untruncatedLength > maxSequenceLength ? [`was cut to ${maxSequenceLength} tokens`] : [],
    }));
  }
}

function padded({ data, shape }: HostTensor, rows: number): HostTensor {
  const width = shape[2]!;
  const out = new Float32Array(rows * width);
  out.set(data);
  return { data: out, shape: [1, rows, width] };
}
