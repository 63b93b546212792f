/** Prompts to the embeddings of one T5 encoder (Wan, CogVideoX). */
import type { Device, FolderReader } from "@lvsa/runtime";
import type { EncodedText } from "@lvsa/tokenizers";
import { T5EncoderModel } from "../models/text-encoders/t5-encoder.js";
import type { EncodeRun } from "./pipeline-parts.js";
import type { EncodedPrompt } from "./prompt-cache.js";
import { PromptEncoder } from "./prompt-embeds.js";
import type { HostTensor } from "./video-pipeline.js";

/** Ids that the encoder sees, at most `maxSequenceLength`. */
export type Tokenize = (
  text: string,
  maxSequenceLength: number,
) => Pick<EncodedText, "ids" | "untruncatedLength">;

/** `embeds` are `[1, maxSequenceLength, width]`; rows for which there were no ids are zero. */
export class T5PromptEncoder extends PromptEncoder {
  readonly #tokenize: Tokenize;

  constructor(device: Device, folder: FolderReader, tokenize: Tokenize) {
    super(device, folder);
    this.#tokenize = tokenize;
  }

  protected override async encode(
    texts: readonly string[],
    maxSequenceLength: number,
    run: EncodeRun,
  ): Promise<EncodedPrompt[]> {
    const tokenized = texts.map((text) => this.#tokenize(text, maxSequenceLength));
    const ids = tokenized.map((text) => text.ids);
    const hidden = await this.hiddenStates("text_encoder", ids, run, (source, config) => {
      return new T5EncoderModel(this.device, source, config);
    });
    return hidden.map((embeds, i) => {
      const wasCut = tokenized[i]!.untruncatedLength > maxSequenceLength;
      const cuts = wasCut ? [`was cut to ${maxSequenceLength} tokens`] : [];
      return { embeds: withRows(embeds, maxSequenceLength), cuts };
    });
  }
}

function withRows({ data, shape }: HostTensor, rows: number): HostTensor {
  const width = shape[2]!;
  const out = new Float32Array(rows * width);
  out.set(data);
  return { data: out, shape: [1, rows, width] };
}
