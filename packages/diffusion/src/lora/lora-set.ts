/** The LoRAs of an engine: opened and matched with its transformers, then added whenever weights are loaded. */
import { type ByteSource, type FolderReader, quoted, UsageError, type WeightSource } from "@lvsa/runtime";
import { componentEntries, type ModelIndex, readJson } from "../checkpoint/checkpoint-folder.js";
import {
  findDefinition,
  type ModelDefinition,
  type VideoModelDefinition,
} from "../models/definition/define-model.js";
import { checkWeights } from "../models/definition/model-weights.js";
import type { ParameterTensor } from "../models/definition/parameter-list.js";
import { withWeights } from "../pipelines/with-weights.js";
import { type LoraChange, LoraFile } from "./lora-file.js";
import { type AppliedChange, type MergedDType, MergedWeights } from "./merged-weights.js";

/** A LoRA that an engine runs with. */
export interface LoraOptions {
  /** A safetensors file: `fileSource` of `@lvsa/runtime/node`, `blobSource`, `httpSource`. The engine closes it. */
  readonly file: ByteSource;
  /** How much of it is added; any finite number. Default 1. */
  readonly weight?: number | undefined;
  /**
   * The transformer that it is for, where keys do not say it: `transformer` (the default; of Wan 2.2 A14B the one for
   * high noise) or `transformer_2`.
   */
  readonly component?: string | undefined;
}

interface Transformer {
  readonly component: string;
  readonly family: string;
  readonly definition: ModelDefinition;
  readonly config: unknown;
  readonly parameters: readonly ParameterTensor[];
}

interface Entry {
  readonly file: LoraFile;
  readonly weight: number;
  /** By transformer. */
  readonly changes: ReadonlyMap<string, readonly LoraChange[]>;
}

const FIRST = "transformer";

export class LoraSet {
  readonly #entries: readonly Entry[];
  readonly #transformers: readonly Transformer[];
  readonly #dtype: MergedDType;

  private constructor(entries: readonly Entry[], transformers: readonly Transformer[], dtype: MergedDType) {
    this.#entries = entries;
    this.#transformers = transformers;
    this.#dtype = dtype;
  }

  /**
   * Opens the files and matches every key with the transformers of a checkpoint; reads headers and alphas only.
   * Owns the files from here on, also where it fails.
   *
   * @param definitions of the classes that the pipeline loads
   * @param dtype type of the changed weights
   * @throws WeightsError `LORA_UNKNOWN_KEY`, `LORA_INCOMPLETE`, `LORA_WRONG_SHAPE` naming keys; UsageError `BAD_OPTION`
   */
  static async open(
    loras: readonly LoraOptions[],
    folder: FolderReader,
    index: ModelIndex,
    definitions: readonly ModelDefinition[],
    dtype: MergedDType,
  ): Promise<LoraSet> {
    const entries: Entry[] = [];
    try {
      const transformers = await transformersOf(folder, index, definitions);
      for (const { file, weight = 1, component } of loras) {
        if (!Number.isFinite(weight))
          throw badLora(file.name, `the weight is ${weight}`, "Give a finite number.");
        const opened = await LoraFile.open(file);
        entries.push({ file: opened, weight, changes: new Map() });
        entries[entries.length - 1] = {
          file: opened,
          weight,
          changes: changesOf(opened, component, transformers),
        };
      }
      return new LoraSet(entries, transformers, dtype);
    } catch (error) {
      const opened = entries.map(({ file }) => file);
      await Promise.allSettled([
        ...opened.map((file) => file.close()),
        ...loras.slice(opened.length).map(({ file }) => file.close()),
      ]);
      throw error;
    }
  }

  /** The component's weights with its LoRAs added; closing the result closes `source`. @throws ConfigError */
  wrap(component: string, source: WeightSource): WeightSource {
    const transformer = this.#transformers.find((one) => one.component === component);
    const mine = this.#entries.filter(
      ({ changes, weight }) => weight !== 0 && (changes.get(component)?.length ?? 0) > 0,
    );
    if (!transformer || mine.length === 0) return source;
    const { stored } = checkWeights(transformer.definition, transformer.config, source);
    const applied = new Map<string, AppliedChange[]>();
    for (const { file, weight, changes } of mine) {
      for (const change of changes.get(component)!) {
        // What is missing is said when the weights are loaded.
        const name = stored.get(change.parameter);
        if (name === undefined) continue;
        applied.set(name, [...(applied.get(name) ?? []), { change, weight, source: file.source }]);
      }
    }
    return new MergedWeights(source, applied, this.#dtype);
  }

  /** Ranks of what is added to parameters, by their names in the class: 0 for what is no product. */
  get ranks(): ReadonlyMap<string, readonly number[]> {
    const ranks = new Map<string, number[]>();
    for (const { file, weight, changes } of this.#entries) {
      for (const { parameter, keys } of weight === 0 ? [] : [...changes.values()].flat()) {
        const rank = keys[1] === undefined ? 0 : file.source.info(keys[1]).shape[0]!;
        ranks.set(parameter, [...(ranks.get(parameter) ?? []), rank]);
      }
    }
    return ranks;
  }

  /** One line for each LoRA: what of which transformer it changes. */
  get notes(): readonly string[] {
    return this.#entries.flatMap(({ file, weight, changes }) => {
      const parts = this.#transformers.map(({ component, parameters }) => {
        const names = new Set((changes.get(component) ?? []).map(({ parameter }) => parameter));
        return names.size === 0
          ? `nothing of ${component}`
          : `${names.size} of ${parameters.length} tensors of ${component}`;
      });
      const effect = weight === 0 ? "changes nothing" : `changes ${parts.join(", ")}`;
      const notes = file.notes.map((note) => `LoRA ${file.name}: ${note}.`);
      return [`LoRA ${file.name} (weight ${weight}) ${effect}.`, ...notes];
    });
  }

  /** For metadata: names, weights and transformers. */
  get used(): string {
    const texts = this.#entries.map(({ file, weight, changes }) => {
      const components = [...changes].flatMap(([name, list]) => (list.length > 0 ? [name] : []));
      return `${file.name}:${weight} (${components.join(", ")})`;
    });
    return texts.join("; ");
  }

  /** Closes the files. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#entries.map(({ file }) => file.close()));
  }
}

async function transformersOf(
  folder: FolderReader,
  index: ModelIndex,
  definitions: readonly ModelDefinition[],
): Promise<Transformer[]> {
  const found: Transformer[] = [];
  for (const { name, className } of componentEntries(index)) {
    const named = findDefinition(definitions, className);
    if (named?.role !== "transformer") continue;
    const config = await readJson(folder, `${name}/config.json`);
    const check = await withWeights(folder, name, async (source) =>
      checkWeights(named, config, source, { where: `${name}/config.json` }),
    );
    const { definition } = check;
    const family = isVideoModel(named) ? named.video.family : "";
    const parameters = definition.parameters(check.config);
    found.push({ ...{ component: name, family, definition, parameters }, config: check.config });
  }
  return found;
}

function isVideoModel(definition: ModelDefinition): definition is VideoModelDefinition {
  return "video" in definition;
}

/** Every key of the file has a place, or this throws. */
function changesOf(
  file: LoraFile,
  wanted: string | undefined,
  transformers: readonly Transformer[],
): ReadonlyMap<string, readonly LoraChange[]> {
  const names = transformers.map(({ component }) => component);
  if (wanted !== undefined && !names.includes(wanted)) {
    throw badLora(file.name, `the checkpoint has no ${wanted}`, `Its transformers: ${names.join(", ")}.`);
  }
  if (wanted !== undefined && file.namesTransformers) {
    const start = `its keys say themselves which transformer they are for, and ${wanted} was asked for`;
    throw badLora(file.name, start, "Give the file once, without a transformer.");
  }
  file.requireComponents(names);
  return new Map(
    transformers.map(({ component, family, parameters }) => [
      component,
      file.changes({ component, family, parameters }, component === (wanted ?? FIRST)),
    ]),
  );
}

function badLora(name: string, problem: string, fix: string): UsageError {
  return new UsageError("BAD_OPTION", `loras: ${quoted(name)}: ${problem}`, { fix });
}
