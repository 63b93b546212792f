/** A LoRA file: its keys sorted by what they change, and what they change in one model. */
import {
  type ByteSource,
  onOneLine,
  openSafetensors,
  type WeightSource,
  WeightsError,
  widen,
} from "@lvsa/runtime";
import { listed } from "../models/definition/model-weights.js";
import { elementCount, type ParameterTensor } from "../models/definition/parameter-list.js";
import { foreignPurpose, type LoraKey, type LoraPart, parseLoraKey, underscoredNames } from "./lora-keys.js";
import { type PeftMetadata, parsePeftMetadata } from "./lora-metadata.js";
import { originalNames, type RowPart } from "./original-names.js";

/** A change to one parameter: `factor · up · down` or a tensor that is added, on some of its rows. */
export interface LoraChange {
  readonly parameter: string;
  /** Keys of the file: both factors, or one tensor. */
  readonly keys: readonly [up: string, down: string] | readonly [added: string];
  /** alpha / rank for a product and the bias of its second factor, else 1. */
  readonly factor: number;
  /** Which rows of the file's tensor (of `up`) are used. */
  readonly source: RowPart;
  /** Which rows of the parameter they change. */
  readonly target: RowPart;
}

/** The model that a file is matched with. */
export interface LoraTarget {
  readonly family: string;
  /** Name of the transformer, for keys that name one. */
  readonly component: string;
  readonly parameters: readonly ParameterTensor[];
}

/** What files put before the names of any model's modules. */
const USUAL = "transformer";
const WHOLE: RowPart = [0, 1];
const FIX = "Use a LoRA that was trained for this model, complete and as it was published.";

interface Place {
  readonly module: string;
  readonly source: RowPart;
  readonly target: RowPart;
}

export class LoraFile {
  readonly source: WeightSource;
  /** File name without folders: it goes into metadata. */
  readonly name: string;
  /** Whether keys say which of two transformers they are for. `transformer` alone is what files call any model. */
  readonly namesTransformers: boolean;
  readonly #keys: readonly LoraKey[];
  readonly #alphas: ReadonlyMap<string, number>;
  readonly #peft: PeftMetadata | undefined;

  private constructor(
    source: WeightSource,
    name: string,
    keys: readonly LoraKey[],
    alphas: ReadonlyMap<string, number>,
    peft: PeftMetadata | undefined,
  ) {
    this.source = source;
    this.name = name.split(/[\\/]/).at(-1) || name;
    this.#keys = keys;
    this.#alphas = alphas;
    this.namesTransformers = keys.some(({ component }) => component !== undefined && component !== USUAL);
    this.#peft = peft;
  }

  /** What the file says and is not done, and what it does not say, one line each. */
  get notes(): readonly string[] {
    const notes = [...(this.#peft?.notes ?? [])];
    const isOfPeft = this.#keys.some(({ key }) => key.startsWith("base_model.model."));
    if (isOfPeft && this.#alphas.size === 0 && this.#peft === undefined) {
      notes.push(
        "its keys are PEFT's, which keeps alpha in adapter_config.json beside the file; taken as the rank. " +
          "If it is another number, give the weight times alpha / rank",
      );
    }
    return notes;
  }

  /**
   * Reads the header and the alphas. Owns the file from here on: `close` closes it, and so does a failure.
   *
   * @throws WeightsError `LORA_UNKNOWN_KEY` for keys of no known form, of other methods and for text encoders; as
   *   `openSafetensors`; ConfigError `BAD_JSON`, `BAD_CONFIG` for PEFT's metadata
   */
  static async open(file: ByteSource): Promise<LoraFile> {
    const source = await openSafetensors(file);
    try {
      const parsed = source
        .names()
        .map((key) => (foreignPurpose(key) === undefined ? parseLoraKey(key) : undefined) ?? key);
      const unknown = parsed.filter((one) => typeof one === "string");
      if (unknown.length > 0 || parsed.length === 0) throw unknownKeys(file.name, unknown);
      const keys = parsed.filter((one) => typeof one !== "string");
      const alphas = new Map<string, number>();
      for (const { key, part } of keys) {
        if (part === "alpha") alphas.set(key, await readAlpha(source, key));
      }
      const peft = await parsePeftMetadata(source.metadata, file.name);
      return new LoraFile(source, file.name, keys, alphas, peft);
    } catch (error) {
      await source.close();
      throw error;
    }
  }

  /**
   * What the file changes in a transformer.
   *
   * @param takesUnnamed whether keys that name no transformer are meant for it
   * @throws WeightsError `LORA_UNKNOWN_KEY`, `LORA_INCOMPLETE`, `LORA_WRONG_SHAPE` naming keys
   */
  changes(target: LoraTarget, takesUnnamed: boolean): readonly LoraChange[] {
    const mine = this.#keys.filter(({ component }) =>
      component === undefined || !this.namesTransformers ? takesUnnamed : component === target.component,
    );
    const shapes = new Map(target.parameters.map(({ name, shape }) => [name, shape]));
    const places = modulePlaces(target);
    const modules = new Map<string, Map<LoraPart, string>>();
    for (const { module, part, key } of mine) {
      const parts = modules.get(module) ?? new Map<LoraPart, string>();
      const other = parts.get(part);
      if (other !== undefined) {
        throw new WeightsError("LORA_UNKNOWN_KEY", `${other} and ${key} are the same part of one module`, {
          ...{ where: this.name, fix: FIX },
        });
      }
      modules.set(module, parts.set(part, key));
    }
    const changes: LoraChange[] = [];
    const unknown: string[] = [];
    const incomplete: string[] = [];
    for (const [module, parts] of modules) {
      const [up, down] = [parts.get("up"), parts.get("down")];
      const upBias = parts.get("up_bias");
      if ((up === undefined) !== (down === undefined) || ((parts.has("alpha") || upBias) && !up)) {
        incomplete.push(up ?? down ?? upBias ?? parts.get("alpha")!);
        continue;
      }
      const found: (LoraChange | undefined)[] = [];
      const add = (
        keys: LoraChange["keys"],
        name: string,
        parameter: (place: Place) => string,
        factor: number,
      ) => {
        const at = (places.get(name) ?? []).map((place) => ({
          ...{ parameter: parameter(place), keys, factor, source: place.source, target: place.target },
        }));
        const there = at.filter((change) => shapes.has(change.parameter));
        if (there.length === 0) unknown.push(...keys);
        found.push(...there);
      };
      const weight = (place: Place) => (shapes.has(place.module) ? place.module : `${place.module}.weight`);
      if (up !== undefined && down !== undefined) {
        // A file that names no second one calls any model a transformer.
        const component = this.namesTransformers ? target.component : USUAL;
        const factor = this.#factor(component, module, parts.get("alpha"), down);
        add([up, down], module, weight, factor);
        if (upBias !== undefined) add([upBias], module, (place) => `${place.module}.bias`, factor);
      }
      const single = (part: LoraPart) => parts.get(part);
      const diff = single("diff");
      if (diff !== undefined) add([diff], module, weight, 1);
      const bias = single("diff_b");
      if (bias !== undefined) add([bias], module, (place) => `${place.module}.bias`, 1);
      const modulation = single("diff_m");
      if (modulation !== undefined) {
        add([modulation], module === "" ? "modulation" : `${module}.modulation`, weight, 1);
      }
      changes.push(...found.filter((change) => change !== undefined));
    }
    if (unknown.length > 0) throw unknownKeys(this.name, unknown, target.component);
    if (incomplete.length > 0) {
      const pairs = `without the other half of the pair: ${listed(incomplete)}`;
      throw new WeightsError("LORA_INCOMPLETE", pairs, { where: this.name, fix: FIX });
    }
    for (const change of changes) this.#checkShape(change, shapes.get(change.parameter)!);
    return changes;
  }

  /** @throws WeightsError `LORA_UNKNOWN_KEY` for keys that name a transformer which is not among `names` */
  requireComponents(names: readonly string[]): void {
    if (!this.namesTransformers) return;
    const foreign = this.#keys.filter(
      ({ component }) => component !== undefined && !names.includes(component),
    );
    if (foreign.length > 0)
      throw unknownKeys(
        this.name,
        foreign.map(({ key }) => key),
        names.join(", "),
      );
  }

  close(): Promise<void> {
    return this.source.close();
  }

  /** alpha / rank: of the tensor, else of the metadata, else 1. */
  #factor(component: string, module: string, alphaKey: string | undefined, down: string): number {
    const rank = this.source.info(down).shape[0] ?? 1;
    if (alphaKey !== undefined) return this.#alphas.get(alphaKey)! / rank;
    const said = this.#peft?.of(component, module);
    if (said?.alpha === undefined) return 1;
    if (said.rank !== undefined && said.rank !== rank) {
      const problem = `${onOneLine(down)} has rank ${rank}, lora_adapter_metadata says ${said.rank}`;
      throw new WeightsError("LORA_WRONG_SHAPE", problem, { where: this.name, fix: FIX });
    }
    return said.alpha / (said.rootOfRank ? Math.sqrt(rank) : rank);
  }

  #checkShape({ parameter, keys, source, target }: LoraChange, shape: readonly number[]): void {
    const rows = shape[0]! / target[1];
    const columns = elementCount(shape) / shape[0]!;
    const [first, down] = keys;
    const found = this.source.info(first).shape;
    const fail = (key: string, expected: string) =>
      new WeightsError(
        "LORA_WRONG_SHAPE",
        `${onOneLine(key)} is [${this.source.info(key).shape.join(", ")}], ${parameter} [${shape.join(", ")}] needs ${expected}`,
        { where: this.name, fix: FIX },
      );
    if (down === undefined) {
      if (elementCount(found) !== rows * columns * source[1])
        throw fail(first, `${rows * source[1]} x ${columns}`);
      return;
    }
    const downShape = this.source.info(down).shape;
    const rank = downShape[0] ?? 0;
    if (rank === 0 || elementCount(downShape) !== rank * columns) throw fail(down, `rank x ${columns}`);
    if (found[0] !== rows * source[1] || elementCount(found) !== found[0] * rank) {
      throw fail(first, `${rows * source[1]} x ${rank}`);
    }
  }
}

/** Where the module names of any form belong. */
function modulePlaces({ family, parameters }: LoraTarget): ReadonlyMap<string, readonly Place[]> {
  const modules = new Set(parameters.map(({ name }) => name.replace(/\.(weight|bias)$/, "")));
  const places = new Map<string, Place[]>();
  const put = (name: string, place: Place) => {
    for (const spelling of [name, ...underscoredNames(name)]) {
      places.set(spelling, [...(places.get(spelling) ?? []), place]);
    }
  };
  for (const module of modules) {
    put(module, { module, source: WHOLE, target: WHOLE });
    for (const { name, source = WHOLE, target = WHOLE } of originalNames(family, module)) {
      put(name, { module, source, target });
    }
  }
  return places;
}

async function readAlpha(source: WeightSource, key: string): Promise<number> {
  const { dtype } = source.info(key);
  const values = widen(await source.read(key), dtype, key);
  if (values.length === 1 && Number.isFinite(values[0])) return values[0]!;
  throw new WeightsError("LORA_WRONG_SHAPE", `${key} is not one finite number`, {
    where: source.info(key).file,
    fix: FIX,
  });
}

function unknownKeys(file: string, keys: readonly string[], component?: string): WeightsError {
  const otherwise = component === undefined ? "of no known form" : `without a place in the ${component}`;
  const groups = new Map<string, string[]>();
  for (const key of keys) {
    const group = foreignPurpose(key) ?? otherwise;
    const names = groups.get(group) ?? [];
    names.push(key);
    groups.set(group, names);
  }
  const texts = [...groups].map(([group, names]) => `keys ${group}: ${listed(names)}`);
  const message = keys.length > 0 ? texts.join("; ") : "the file holds no tensors";
  return new WeightsError("LORA_UNKNOWN_KEY", message, { where: file, fix: FIX });
}
