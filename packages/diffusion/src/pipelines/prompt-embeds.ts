/** From texts to embeddings: those that were given, those that are known from before, and one pass for the others. */
import type { Device, FolderReader, WeightSource } from "@lvsa/runtime";
import { readJson } from "../checkpoint/checkpoint-folder.js";
import type { TextEncoder } from "../models/text-encoders/text-encoder.js";
import { badOption } from "./bad-option.js";
import type { ClipPlan } from "./clip-plan.js";
import { assertFinite } from "./not-finite.js";
import type { EncodeRun } from "./pipeline-parts.js";
import { type EncodedPrompt, PromptCache } from "./prompt-cache.js";
import type { Run } from "./runs.js";
import type { HostTensor } from "./video-pipeline.js";
import { withWeights } from "./with-weights.js";

/** The text side of a family. */
export abstract class PromptEncoder {
  protected readonly device: Device;
  protected readonly folder: FolderReader;
  readonly #cache = new PromptCache();

  constructor(device: Device, folder: FolderReader) {
    this.device = device;
    this.folder = folder;
  }

  /** Embeddings on the CPU, in the order of the texts; texts that were not encoded lately share one pass. */
  async embed(texts: readonly string[], maxSequenceLength: number, run: EncodeRun): Promise<EncodedPrompt[]> {
    const keyOf = (text: string) => `${maxSequenceLength} ${text}`;
    const known = new Map(texts.map((text) => [text, this.#cache.get(keyOf(text))]));
    const missing = [...known.keys()].filter((text) => known.get(text) === undefined);
    if (missing.length > 0) {
      const encoded = await this.encode(missing, maxSequenceLength, run);
      for (const [i, text] of missing.entries()) {
        known.set(text, encoded[i]!);
        this.#cache.set(keyOf(text), encoded[i]!);
      }
    }
    return texts.map((text) => known.get(text)!);
  }

  /** Encodes the texts of one run in one pass, and keeps them all until the next run. */
  async prepare(texts: readonly string[], maxSequenceLength: number, run: EncodeRun): Promise<void> {
    this.#cache.reserve(texts.length);
    await this.embed(texts, maxSequenceLength, run);
  }

  /** All texts with one pass over each encoder's weights. @throws WeightsError, AbortError, NotFiniteError */
  protected abstract encode(
    texts: readonly string[],
    maxSequenceLength: number,
    run: EncodeRun,
  ): Promise<EncodedPrompt[]>;

  /** Hidden states of a component's encoder on the CPU; reports as `encode-prompt`. */
  protected hiddenStates(
    component: string,
    ids: readonly ArrayLike<number>[],
    run: EncodeRun,
    open: (source: WeightSource, config: unknown) => TextEncoder,
  ): Promise<HostTensor[]> {
    const { signal } = run;
    return withWeights(
      this.folder,
      component,
      async (source) => {
        // What another encoder needed fits nothing of this one.
        await this.device.releaseMemory();
        const encoder = open(source, await readJson(this.folder, `${component}/config.json`));
        const hidden = await encoder.encode(ids, {
          ...(signal ? { signal } : {}),
          onProgress: (done, total) => run.onStage?.({ stage: "encode-prompt", component, done, total }),
        });
        try {
          const out: HostTensor[] = [];
          for (const x of hidden) {
            const data = await this.device.read(x);
            assertFinite(data, component, "embeddings");
            out.push({ data, shape: x.shape });
          }
          return out;
        } finally {
          for (const x of hidden) x.dispose();
        }
      },
      "model",
    );
  }
}

/** The prompt and, where guidance is on, the negative one; `notes` says what was cut. */
export async function encodePrompts(
  encoder: PromptEncoder,
  { settings, guidance }: ClipPlan,
  run: Run,
): Promise<{ positive: EncodedPrompt; negative: EncodedPrompt | undefined; notes: string[] }> {
  const given = (embeds: HostTensor | undefined, embeds2: HostTensor | undefined) =>
    embeds && { embeds, embeds2, cuts: [] };
  const givenPositive = given(settings.promptEmbeds, settings.promptEmbeds2);
  const givenNegative = given(settings.negativePromptEmbeds, settings.negativePromptEmbeds2);
  const texts = [
    ...(givenPositive ? [] : [settings.prompt ?? ""]),
    ...(givenNegative || !guidance.isOn ? [] : [settings.negativePrompt]),
  ];
  const encoded = await encoder.embed(texts, settings.maxSequenceLength, run);
  const positive = givenPositive ?? encoded.shift()!;
  const negative = guidance.isOn ? (givenNegative ?? encoded.shift()!) : undefined;
  const notes = [
    ...positive.cuts.map((cut) => `The prompt ${cut}.`),
    ...(negative?.cuts ?? []).map((cut) => `The negative prompt ${cut}.`),
  ];
  return { positive, negative, notes };
}

/** @throws UsageError unless given embeddings are `[batch, rows, width]`, with exactly `rows` where that is given */
export function checkEmbeds(
  name: string,
  embeds: HostTensor | undefined,
  width: number,
  rows?: number,
  batch = 1,
): void {
  if (!embeds) return;
  const { shape } = embeds;
  const fits = shape.length === 3 && shape[0] === batch && shape[2] === width;
  if (fits && (rows === undefined || shape[1] === rows)) return;
  const expected = `[${batch}, ${rows ?? "rows"}, ${width}]`;
  throw badOption(
    `${name} is [${shape.join(", ")}], expected ${expected}`,
    "Encode with the encoder that belongs to this checkpoint.",
  );
}
