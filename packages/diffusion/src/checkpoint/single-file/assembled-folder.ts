/** The folder in the diffusers format that files of other formats stand for: configurations made, weights renamed. */
import {
  type ByteSource,
  DIFFUSERS_WEIGHTS,
  type FolderReader,
  memoryFolder,
  openWeights,
  openWeightsFile,
  TRANSFORMERS_WEIGHTS,
  type WeightSource,
  type WeightsFile,
} from "@lvsa/runtime";
import type { ResolvedConfig } from "../../models/definition/resolved-config.js";
import { hasComponent, type ModelIndex } from "../checkpoint-folder.js";
import type { Family, Slot, SlotConfigs, TokenizerSlot } from "./families.js";
import type { ComponentRole } from "./file-kind.js";
import { componentWeights, type FoundComponent } from "./find-components.js";
import type { TokenizerFolder } from "./tokenizer-files.js";

/** A component from a file (with what was found in it), or from a folder of its own. */
export interface AssembledPart {
  readonly role: ComponentRole;
  readonly title: string;
  readonly className: string;
  readonly library: "diffusers" | "transformers";
  readonly config: ResolvedConfig;
  readonly file?: WeightsFile;
  readonly found?: FoundComponent;
  readonly folder?: FolderReader;
  readonly tokenizer: TokenizerFolder | undefined;
}

export interface AssembledParts {
  /** Has what the parts do not. */
  readonly base: FolderReader | undefined;
  readonly index: ModelIndex | undefined;
  readonly family: Family | undefined;
  readonly slots: ReadonlyMap<Slot, AssembledPart>;
  readonly tokenizers: ReadonlyMap<TokenizerSlot, FolderReader>;
  readonly configs: SlotConfigs;
}

export class AssembledFolder implements FolderReader {
  readonly name: string;
  readonly #slots: ReadonlyMap<Slot, AssembledPart>;
  readonly #tokenizers: ReadonlyMap<TokenizerSlot, FolderReader>;
  readonly #base: FolderReader | undefined;
  /** Configurations that were made. */
  readonly #made: FolderReader;

  constructor(parts: AssembledParts) {
    const { base, slots, tokenizers } = parts;
    const first = slots.get("transformer") ?? [...slots.values()][0];
    this.name = base?.name ?? first?.file?.name ?? first?.folder?.name ?? "files";
    this.#base = base;
    this.#slots = slots;
    this.#tokenizers = tokenizers;
    this.#made = memoryFolder(filesOf(parts), this.name);
  }

  async readText(path: string): Promise<string> {
    const [folder, inside] = await this.#find(path);
    return folder.readText(inside);
  }

  async readBytes(path: string): Promise<Uint8Array> {
    const [folder, inside] = await this.#find(path);
    return folder.readBytes(inside);
  }

  async open(path: string): Promise<ByteSource> {
    const [folder, inside] = await this.#find(path);
    return folder.open(inside);
  }

  async exists(path: string): Promise<boolean> {
    const [folder, inside] = await this.#find(path);
    return folder.exists(inside);
  }

  async list(path = ""): Promise<string[]> {
    const all = await Promise.all(this.#folders(path).map(([folder, inside]) => folder.list(inside)));
    return [...new Set(all.flat())].sort();
  }

  async weights(path: string): Promise<WeightSource | undefined> {
    const part = this.#slots.get(path as Slot);
    if (!part) return this.#base?.weights?.(path);
    if (part.folder) {
      const baseName = part.library === "diffusers" ? DIFFUSERS_WEIGHTS : TRANSFORMERS_WEIGHTS;
      return openWeights(part.folder, baseName);
    }
    const source = await openWeightsFile(part.file!);
    try {
      return componentWeights(source, part.found!);
    } catch (error) {
      await source.close();
      throw error;
    }
  }

  /** The folder that has a path, and the path in it. */
  async #find(path: string): Promise<readonly [FolderReader, string]> {
    const folders = this.#folders(path);
    for (const one of folders) if (await one[0].exists(one[1])) return one;
    return folders.at(-1)!;
  }

  /** Where a path may be: what was made or given goes before the base, whose folder of that name does not count then. */
  #folders(path: string): (readonly [FolderReader, string])[] {
    const [slot = "", ...rest] = path.split("/").filter((part) => part !== "" && part !== ".");
    const tokenizer = this.#tokenizers.get(slot as TokenizerSlot);
    if (tokenizer) return [[tokenizer, rest.join("/")]];
    const isOwn = this.#slots.has(slot as Slot);
    return [[this.#made, path], ...(this.#base && !isOwn ? [[this.#base, path] as const] : [])];
  }
}

function filesOf({ index, family, slots, tokenizers, configs }: AssembledParts): Record<string, string> {
  const files: Record<string, string> = {};
  const add = (path: string, content: unknown) => {
    files[path] = JSON.stringify(content, undefined, 2);
  };
  for (const [slot, { config }] of slots) add(`${slot}/config.json`, config);
  const components: Record<string, unknown> = {};
  for (const [slot, { library, className }] of slots) components[slot] = [library, className];
  for (const slot of tokenizers.keys())
    components[slot] ??= index?.[slot] ?? ["transformers", TOKENIZER_CLASS];
  const encoder = configs.get("image_encoder");
  const processor = encoder && family?.imageProcessor?.(encoder);
  // A checkpoint that has one has it for its own encoder; one of the same size sees the same pictures.
  if (processor && !(index && hasComponent(index, processor.name))) {
    components[processor.name] = ["transformers", processor.className];
    add(`${processor.name}/preprocessor_config.json`, {
      image_processor_type: processor.className,
      ...processor.config,
    });
  }
  if (index) {
    // Another transformer may make another pipeline of it: one that starts from an image.
    const className = family?.pipelineClass(configs);
    const isOther =
      (slots.has("transformer") || slots.has("image_encoder")) &&
      className !== index._class_name &&
      index.expand_timesteps !== true;
    const other = isOther && family ? { ...family.index(configs), _class_name: className } : {};
    add("model_index.json", { ...index, ...components, ...other });
    return files;
  }
  if (!family) {
    add("model_index.json", { _class_name: "(parts of a pipeline)", ...components });
    return files;
  }
  const scheduler = family.scheduler(configs);
  add("scheduler/scheduler_config.json", scheduler);
  const guider = family.guider?.(configs);
  if (guider) add("guider/guider_config.json", guider);
  add("model_index.json", {
    _class_name: family.pipelineClass(configs),
    ...family.index(configs),
    ...components,
    scheduler: ["diffusers", scheduler._class_name],
    ...(guider ? { guider: ["diffusers", guider._class_name] } : {}),
  });
  return files;
}

/** Whatever it is: its folder tells. */
const TOKENIZER_CLASS = "AutoTokenizer";
