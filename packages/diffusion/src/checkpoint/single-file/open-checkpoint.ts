/** A checkpoint from files of any format: what each of them holds is found out, what is missing is named. */
import {
  ConfigError,
  checkOptionKinds,
  type FolderReader,
  memoryFolder,
  type OptionKinds,
  openWeightsFile,
  subFolder,
  UsageError,
  WeightsError,
  type WeightsFile,
} from "@lvsa/runtime";
import { componentEntries, type ModelIndex, readModelIndex, readSettings } from "../checkpoint-folder.js";
import { AssembledFolder, type AssembledPart } from "./assembled-folder.js";
import { FAMILIES, type Family, type Slot, type SlotConfigs, type TokenizerSlot } from "./families.js";
import type { ComponentRole } from "./file-kind.js";
import { type FoundComponent, findComponents } from "./find-components.js";
import { BYT5_TOKENIZER, type TokenizerFolder, tokenizerOf } from "./tokenizer-files.js";

/** A component: a file of weights, or a folder of one component in the diffusers format. */
export type ComponentFile = WeightsFile | FolderReader;

export interface CheckpointFiles {
  /** A checkpoint in the diffusers format, which has what no file below holds. */
  readonly folder?: FolderReader;
  /** Files of any components; one may hold several. */
  readonly files?: readonly WeightsFile[];
  readonly transformer?: ComponentFile;
  /** The low-noise expert of models with two. */
  readonly transformer2?: ComponentFile;
  readonly textEncoder?: ComponentFile;
  readonly textEncoder2?: ComponentFile;
  readonly vae?: ComponentFile;
  readonly imageEncoder?: ComponentFile;
  /** A tokenizer's folder, or its one file (`tokenizer.json`, `spiece.model`). Default: what the text encoder's file carries. */
  readonly tokenizer?: ComponentFile;
  readonly tokenizer2?: ComponentFile;
}

export interface OpenCheckpointOptions {
  /** Take what is there, for looking at it: what is missing stands in `missing`, and is no error. Default false. */
  readonly isPartial?: boolean;
}

const FILE_KINDS: OptionKinds<CheckpointFiles> = {
  ...{
    folder: "object",
    files: "array",
    transformer: "object",
    transformer2: "object",
    textEncoder: "object",
  },
  ...{
    textEncoder2: "object",
    vae: "object",
    imageEncoder: "object",
    tokenizer: "object",
    tokenizer2: "object",
  },
};

type SlotSettings = (configs: SlotConfigs) => AssembledPart["config"];

/** What was put together. */
export interface OpenedCheckpoint extends FolderReader {
  /** Options of `CheckpointFiles` without which no video can be made; empty unless it was opened as a part. */
  readonly missing: readonly string[];
}

const OPTIONS = {
  transformer: "transformer",
  transformer2: "transformer_2",
  textEncoder: "text_encoder",
  textEncoder2: "text_encoder_2",
  vae: "vae",
  imageEncoder: "image_encoder",
} as const satisfies Partial<Record<keyof CheckpointFiles, Slot>>;

/** What to give for a slot. */
const OPTION_OF: Readonly<Record<Slot, string>> = {
  ...{ transformer: "transformer", transformer_2: "transformer2", vae: "vae" },
  ...{ text_encoder: "textEncoder", text_encoder_2: "textEncoder2", image_encoder: "imageEncoder" },
  ...{ tokenizer: "tokenizer", tokenizer_2: "tokenizer2", text_tokenizer: "tokenizer" },
};
const WORDS: Readonly<Record<Slot, string>> = {
  ...{ transformer: "the transformer", transformer_2: "the second transformer", vae: "the autoencoder" },
  ...{ text_encoder: "the text encoder", text_encoder_2: "the second text encoder" },
  ...{ image_encoder: "the image encoder", tokenizer: "the tokenizer", tokenizer_2: "the second tokenizer" },
  text_tokenizer: "the tokenizer",
};
const ROLES: Readonly<Partial<Record<Slot, ComponentRole>>> = {
  ...{ transformer: "transformer", transformer_2: "transformer", vae: "vae", image_encoder: "image_encoder" },
  ...{ text_encoder: "text_encoder", text_encoder_2: "text_encoder" },
};

/**
 * Files of any format as a folder in the diffusers format, for `Engine.open`, `inspectCheckpoint` and whatever else takes
 * one. Formats are told by content: safetensors (diffusers' or original names, also of a whole pipeline) and GGUF.
 * Configurations follow from the shapes of the tensors; only headers are read here. The files stay the caller's and are
 * opened again when weights are loaded.
 * @throws WeightsError `PICKLED_WEIGHTS`, `UNKNOWN_FILE`, `WRONG_COMPONENT`, and what opening a file throws;
 *   ConfigError `MISSING_COMPONENT` that names all that is missing, `TWO_COMPONENTS`, `PARTS_DO_NOT_FIT`; UsageError
 *   `BAD_OPTION` for a component that the pipeline has no place for, and for options that are unknown or of another kind
 */
export async function openCheckpoint(
  given: CheckpointFiles,
  options: OpenCheckpointOptions = {},
): Promise<OpenedCheckpoint> {
  checkOptionKinds(FILE_KINDS, given, "openCheckpoint");
  checkOptionKinds({ isPartial: "boolean" }, options, "openCheckpoint, after its files");
  const { isPartial = false } = options;
  const slots = new Map<Slot, AssembledPart>();
  const loose: AssembledPart[] = [];
  for (const [option, slot] of Object.entries(OPTIONS)) {
    const file = given[option as keyof typeof OPTIONS];
    if (file) slots.set(slot, await partFor(slot, file));
  }
  for (const file of given.files ?? []) loose.push(...(await partsOf(file)));
  const index = given.folder ? await readModelIndex(given.folder) : undefined;
  const family = familyOf(slots, loose, isPartial || index !== undefined) ?? familyIn(index);
  for (const part of loose) place(part, slots, family);
  checkSizes(slots, family);
  const configs = await configsOf(given.folder, index, slots);
  const tokenizers = await tokenizersOf(given, slots, family);
  refuseUnused(given, index, family, slots, configs);
  const missing = index ? [] : missingSlots(family, slots, tokenizers, configs);
  if (missing.length > 0 && !isPartial) throw missingError(family!, missing, slots);
  for (const [slot, settings] of Object.entries(family?.settings ?? {}) as [Slot, SlotSettings][]) {
    const part = slots.get(slot);
    // A folder says itself what no shape shows.
    if (part?.file) slots.set(slot, { ...part, config: { ...part.config, ...settings(configs) } });
  }
  const folder = new AssembledFolder({ base: given.folder, index, family, slots, tokenizers, configs });
  return Object.assign(folder, { missing: missing.map((slot) => OPTION_OF[slot]) });
}

/** A key of `CheckpointFiles` in a text: programs with flags put those in its place. */
function option(name: string): string {
  return `\`${name}\``;
}

function isFolder(file: ComponentFile): file is FolderReader {
  return "readText" in file;
}

/** All components of a file. */
async function partsOf(file: WeightsFile): Promise<AssembledPart[]> {
  const source = await openWeightsFile(file);
  try {
    const found = findComponents(source);
    const parts: AssembledPart[] = [];
    for (const component of found) {
      const isText = component.kind.role === "text_encoder";
      const tokenizer = isText ? await tokenizerOf(source, component.prefix) : undefined;
      parts.push(partOf(file, component, tokenizer));
    }
    return parts;
  } finally {
    await source.close();
  }
}

function partOf(file: WeightsFile, found: FoundComponent, tokenizer?: TokenizerFolder): AssembledPart {
  const { kind, config } = found;
  const className = classOf(config) ?? kind.className;
  const library = className.endsWith("3DModel") || kind.role === "vae" || className.startsWith("Cosmos3");
  return {
    ...{ file, found, config, className, tokenizer, role: kind.role, title: kind.title },
    library: library ? "diffusers" : "transformers",
  };
}

function classOf({ _class_name: own, architectures }: Readonly<Record<string, unknown>>): string | undefined {
  const named = own ?? (Array.isArray(architectures) ? architectures[0] : undefined);
  return typeof named === "string" ? named : undefined;
}

/** The component of a slot from what was given for it. */
async function partFor(slot: Slot, file: ComponentFile): Promise<AssembledPart> {
  if (isFolder(file)) return folderPart(slot, file);
  const parts = await partsOf(file);
  const fitting = parts.find(({ role }) => role === ROLES[slot]);
  if (fitting) return fitting;
  throw new WeightsError(
    "WRONG_COMPONENT",
    `the file given as ${option(OPTION_OF[slot])} holds: ${parts.map(({ title }) => title).join("; ")}.`,
    { where: file.name, fix: `Give a file of ${WORDS[slot]}.` },
  );
}

async function folderPart(slot: Slot, folder: FolderReader): Promise<AssembledPart> {
  const config = await readSettings(folder, "config.json");
  const className = classOf(config);
  const role = ROLES[slot]!;
  if (className === undefined) {
    throw new ConfigError("NOT_A_CHECKPOINT", "config.json names no class (_class_name or architectures).", {
      where: folder.name,
    });
  }
  const library = config._class_name === undefined ? "transformers" : "diffusers";
  return { folder, config, className, role, library, title: className, tokenizer: undefined };
}

function familyOf(
  slots: ReadonlyMap<Slot, AssembledPart>,
  loose: readonly AssembledPart[],
  mayBeMissing: boolean,
): Family | undefined {
  const transformer = slots.get("transformer") ?? loose.find(({ role }) => role === "transformer");
  const family = FAMILIES.find(({ className }) => className === transformer?.className);
  if (family || mayBeMissing) return family;
  const given = [...slots.values(), ...loose].map(({ title }) => title);
  throw new ConfigError(
    "MISSING_COMPONENT",
    transformer
      ? `there is no pipeline for a transformer of class ${transformer.className}.`
      : `there is no transformer among what was given (${given.join("; ") || "nothing"}).`,
    {
      fix: `Give its file as ${option("transformer")}, or as ${option("folder")} a checkpoint that has what the files do not hold.`,
    },
  );
}

/** Puts a component that was given without a slot where the family has it. */
function place(part: AssembledPart, slots: Map<Slot, AssembledPart>, family: Family | undefined): void {
  const free = (slot: Slot) => !slots.has(slot);
  let slot: Slot = part.role;
  if (part.role === "transformer" && !free("transformer") && family?.title === "Wan") slot = "transformer_2";
  if (part.role === "text_encoder" && family) {
    const found = Object.entries(family.textEncoders).find(
      ([, className]) => className === part.found?.kind.className,
    );
    slot = (found?.[0] as Slot | undefined) ?? slot;
  }
  const other = slots.get(slot);
  if (!other) {
    slots.set(slot, part);
    return;
  }
  const isExpert = slot.startsWith("transformer");
  throw new ConfigError(
    "TWO_COMPONENTS",
    `two files hold ${WORDS[slot]}: ${other.title} and ${part.title}.`,
    {
      fix: `Leave one of them out${isExpert ? `, or give them as ${option("transformer")} and ${option("transformer2")}` : ""}.`,
      ...(part.file ? { where: part.file.name } : {}),
    },
  );
}

/** Files of different models are told apart by sizes that they would have to share. */
function checkSizes(slots: ReadonlyMap<Slot, AssembledPart>, family: Family | undefined): void {
  const transformer = slots.get("transformer");
  for (const [key, slot, other] of transformer ? (family?.shared ?? []) : []) {
    const part = slots.get(slot);
    const [wanted, found] = [transformer!.config[key], part?.config[other]];
    if (typeof wanted !== "number" || typeof found !== "number" || wanted === found) continue;
    throw new ConfigError(
      "PARTS_DO_NOT_FIT",
      `${WORDS[slot]} (${part!.title}) has ${other} ${found}, the transformer's ${key} is ${wanted}.`,
      {
        fix: `Give as ${option(OPTION_OF[slot])} the file that belongs to the transformer.`,
        ...(part!.file ? { where: part!.file.name } : {}),
      },
    );
  }
}

/** Folders of tokenizers by slot: given, or carried by the encoder's file. */
async function tokenizersOf(
  given: CheckpointFiles,
  slots: ReadonlyMap<Slot, AssembledPart>,
  family: Family | undefined,
): Promise<ReadonlyMap<TokenizerSlot, FolderReader>> {
  const out = new Map<TokenizerSlot, FolderReader>();
  const wanted = family?.tokenizers ?? { tokenizer: "text_encoder", tokenizer_2: "text_encoder_2" };
  for (const [slot, encoder] of Object.entries(wanted) as [TokenizerSlot, Slot][]) {
    const file = slot === "tokenizer_2" ? given.tokenizer2 : given.tokenizer;
    const carried = slots.get(encoder)?.tokenizer ?? byteTokenizer(slots.get(encoder));
    if (file) out.set(slot, await tokenizerFolder(file));
    else if (carried)
      out.set(slot, memoryFolder(carried, `${slots.get(encoder)?.file?.name ?? ""} (tokenizer)`));
  }
  return out;
}

/** Vocabularies of ByT5 are bytes and a few added tokens. */
function byteTokenizer(part: AssembledPart | undefined): TokenizerFolder | undefined {
  const size = Number(part?.config.vocab_size ?? 0);
  return part?.className === "T5EncoderModel" && part.file && size > 256 && size < 4096
    ? BYT5_TOKENIZER
    : undefined;
}

/** The names under which a tokenizer's one file is looked for, by how its own ends. */
async function tokenizerFolder(file: ComponentFile): Promise<FolderReader> {
  if (isFolder(file)) {
    const inside = (await file.exists("tokenizer_config.json")) || !(await file.exists("tokenizer"));
    return inside ? file : subFolder(file, "tokenizer");
  }
  const source = await file.open();
  try {
    const bytes = await source.read(0, source.size);
    const isJson = bytes[0] === 0x7b || file.name.endsWith(".json");
    return memoryFolder({ [isJson ? "tokenizer.json" : "spiece.model"]: bytes }, file.name);
  } finally {
    await source.close();
  }
}

function familyIn(index: ModelIndex | undefined): Family | undefined {
  const entry = index && componentEntries(index).find(({ name }) => name === "transformer");
  return FAMILIES.find(({ className }) => className === entry?.className);
}

/** Of the parts, and of what the base has besides. */
async function configsOf(
  base: FolderReader | undefined,
  index: ModelIndex | undefined,
  slots: ReadonlyMap<Slot, AssembledPart>,
): Promise<SlotConfigs> {
  const configs = new Map([...slots].map(([slot, { config }]) => [slot, config]));
  for (const { name } of base && index ? componentEntries(index) : []) {
    const path = `${name}/config.json`;
    if (!(name in ROLES) || configs.has(name as Slot) || !(await base!.exists(path))) continue;
    configs.set(name as Slot, await readSettings(base!, path));
  }
  return configs;
}

/** @throws UsageError `BAD_OPTION` for a component that the pipeline has no place for */
function refuseUnused(
  given: CheckpointFiles,
  index: ModelIndex | undefined,
  family: Family | undefined,
  slots: ReadonlyMap<Slot, AssembledPart>,
  configs: SlotConfigs,
): void {
  if (!family) return;
  const places = new Set<Slot>(["transformer", ...family.takes, ...family.needs(configs)]);
  for (const { name } of index ? componentEntries(index) : []) places.add(name as Slot);
  const fail = (slot: Slot, option: string, where: string | undefined, how: string) =>
    new UsageError("BAD_OPTION", `this ${family.title} model has no place for ${WORDS[slot]}${how}`, {
      fix: `Leave ${option} out, or use a checkpoint that has one.`,
      ...(where === undefined ? {} : { where }),
    });
  const optionNames = new Map(
    Object.entries(OPTIONS).map(([key, slot]) => [slot, key as keyof typeof OPTIONS]),
  );
  for (const [slot, { file, folder }] of slots) {
    if (places.has(slot)) continue;
    const key = optionNames.get(slot as (typeof OPTIONS)[keyof typeof OPTIONS])!;
    const where = (file ?? folder)?.name;
    if (given[key]) throw fail(slot, option(key), where, `, given as ${option(key)}`);
    throw fail(slot, "it", where, "");
  }
  if (given.tokenizer2 && !("tokenizer_2" in family.tokenizers)) {
    const key = option("tokenizer2");
    throw fail("tokenizer_2", key, given.tokenizer2.name, `, given as ${key}`);
  }
}

function missingSlots(
  family: Family | undefined,
  slots: ReadonlyMap<Slot, AssembledPart>,
  tokenizers: ReadonlyMap<TokenizerSlot, FolderReader>,
  configs: SlotConfigs,
): Slot[] {
  const needed: readonly Slot[] = family ? family.needs(configs) : ["transformer"];
  return needed.filter((slot) => !slots.has(slot) && !tokenizers.has(slot as TokenizerSlot));
}

function missingError(
  family: Family,
  missing: readonly Slot[],
  slots: ReadonlyMap<Slot, AssembledPart>,
): ConfigError {
  const list = (words: readonly string[]) =>
    words.length > 1 ? `${words.slice(0, -1).join(", ")} and ${words.at(-1)}` : words[0]!;
  const where = slots.get("transformer")?.file?.name;
  return new ConfigError(
    "MISSING_COMPONENT",
    `${family.title} also needs ${list(missing.map((slot) => WORDS[slot]))}.`,
    {
      fix: `Give ${list(missing.map((slot) => option(OPTION_OF[slot])))}, or as ${option("folder")} a checkpoint that has what the files do not hold.`,
      ...(where === undefined ? {} : { where }),
    },
  );
}
