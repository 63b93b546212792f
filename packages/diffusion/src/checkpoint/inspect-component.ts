/** One component of a checkpoint: class, configuration, files, tensors, and what is wrong with them. */
import {
  DIFFUSERS_WEIGHTS,
  type FolderReader,
  isLvsaError,
  onOneLine,
  openWeights,
  type PackedDType,
  type SafetensorsDType,
  type StoredType,
  subFolder,
  TRANSFORMERS_WEIGHTS,
  type WeightSource,
} from "@lvsa/runtime";
import type { ParameterCheck } from "../models/definition/check-parameters.js";
import { type ModelDefinition, type ModelRole, UNSUPPORTED_FIX } from "../models/definition/define-model.js";
import { checkWeights, listed } from "../models/definition/model-weights.js";
import { elementCount } from "../models/definition/parameter-list.js";
import type { ResolvedConfig } from "../models/definition/resolved-config.js";
import { findModelClass, unknownModelClass } from "../models/model-classes.js";
import { type ComponentEntry, readJson } from "./checkpoint-folder.js";

export interface InspectionProblem {
  /** A component with an error can not be loaded. */
  readonly severity: "error" | "warning";
  /** In UPPER_SNAKE_CASE, stable. */
  readonly code: string;
  readonly message: string;
  readonly fix?: string;
  /** File in which it lies. */
  readonly where?: string;
}

export interface WeightFile {
  readonly name: string;
  readonly tensors: number;
  /** Of the tensors, without the header. */
  readonly bytes: number;
}

export interface ParameterType {
  readonly readAs: SafetensorsDType;
  readonly packedAs?: PackedDType;
}

export interface ComponentInspection {
  /** Folder and key in model_index.json; empty for a folder of one model. */
  readonly name: string;
  readonly className: string;
  readonly library: string;
  /** What it is; `other` for what has no weights (schedulers, tokenizers) or no class that is known. */
  readonly role: ModelRole | "scheduler" | "tokenizer" | "other";
  /** With the defaults of the class, where that is known; otherwise as in the file. */
  readonly config: ResolvedConfig | undefined;
  readonly files: readonly WeightFile[];
  readonly tensors: number;
  readonly parameters: number;
  /** As stored. */
  readonly bytes: number;
  readonly dtypes: Readonly<Partial<Record<StoredType, { tensors: number; bytes: number }>>>;
  /** Type that most of the model has once it is read: 8-bit codes become floats. Undefined without weights. */
  readonly readAs: SafetensorsDType | undefined;
  /** How most of its linear layers stay quantized in GPU memory; undefined where they do not. */
  readonly packedAs: PackedDType | undefined;
  /** What each parameter of the class is once it is read, by its name there. */
  readonly types: ReadonlyMap<string, ParameterType>;
  /** Names and shapes against the class; undefined where there was nothing to compare. */
  readonly check: ParameterCheck | undefined;
  readonly problems: readonly InspectionProblem[];
}

/** Classes without weights of ours to read, by the ends of their names. */
const WITHOUT_WEIGHTS: readonly (readonly [RegExp, ComponentInspection["role"]])[] = [
  [/Scheduler$/, "scheduler"],
  [/Tokenizer(Fast)?$/, "tokenizer"],
  [/(Processor|FeatureExtractor|Guidance|SafetyChecker)$/, "other"],
];

/** @throws nothing that the folder's content causes: that becomes a problem */
export async function inspectComponent(
  root: FolderReader,
  entry: ComponentEntry,
): Promise<ComponentInspection> {
  const folder = entry.name === "" ? root : subFolder(root, entry.name);
  const modelClass = findModelClass(entry.className);
  const problems: InspectionProblem[] = [];
  const role = modelClass?.role ?? WITHOUT_WEIGHTS.find(([ending]) => ending.test(entry.className))?.[1];
  const empty = {
    files: [],
    tensors: 0,
    parameters: 0,
    bytes: 0,
    dtypes: {},
    readAs: undefined,
    packedAs: undefined,
    types: new Map(),
    check: undefined,
  };
  if (!modelClass && role) {
    const isThere = await attempt(problems, () => root.exists(entry.name));
    if (isThere === false) problems.push(missingFolder(entry.name));
    return { ...entry, role, config: undefined, ...empty, problems };
  }
  if (!modelClass)
    problems.push({
      severity: "error",
      code: "UNKNOWN_MODEL_CLASS",
      message: unknownModelClass(entry.className).message,
    });

  const configFile = entry.name === "" ? "config.json" : `${entry.name}/config.json`;
  const config = await attempt(problems, () => readJson(root, configFile));
  const parsed = await attempt(problems, async () => modelClass?.parseConfig(config ?? {}, configFile));
  warnAboutClass(problems, entry.className, config);
  const baseName =
    entry.library === "transformers" || modelClass?.library === "transformers"
      ? TRANSFORMERS_WEIGHTS
      : DIFFUSERS_WEIGHTS;
  const weights = await attempt(problems, () => openWeights(folder, baseName));
  const shown = (parsed ?? config) as ResolvedConfig | undefined;
  if (!weights) return { ...entry, role: role ?? "other", config: shown, ...empty, problems };
  try {
    const check = modelClass && parsed && config ? compare(modelClass, parsed, weights, problems) : undefined;
    const summary = { ...summarize(weights), types: parameterTypes(weights, check) };
    return { ...entry, role: role ?? "other", config: check?.config ?? shown, ...summary, check, problems };
  } finally {
    await weights.close();
  }
}

function missingFolder(name: string): InspectionProblem {
  return {
    severity: "error",
    code: "NOT_FOUND",
    message: `model_index.json lists ${name}, but there is no such folder.`,
    fix: "Download the whole checkpoint.",
  };
}

/** The result, or undefined and a problem. */
async function attempt<T>(problems: InspectionProblem[], read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!isLvsaError(error)) throw error;
    const { code, message, fix, where } = error;
    problems.push({
      ...{ severity: "error", code, message },
      ...(fix === undefined ? {} : { fix }),
      ...(where === undefined ? {} : { where }),
    });
    return undefined;
  }
}

function warnAboutClass(problems: InspectionProblem[], className: string, config: unknown): void {
  const { _class_name: diffusers, architectures } = (config ?? {}) as Record<string, unknown>;
  const named =
    typeof diffusers === "string"
      ? [diffusers]
      : (Array.isArray(architectures) ? architectures : []).filter((name) => typeof name === "string");
  if (named.length === 0 || named.includes(className)) return;
  problems.push({
    severity: "warning",
    code: "CLASS_MISMATCH",
    message: `model_index.json says ${onOneLine(className)}, config.json says ${listed(named)}.`,
  });
}

function compare(
  modelClass: ModelDefinition,
  config: ResolvedConfig,
  weights: WeightSource,
  problems: InspectionProblem[],
): ParameterCheck {
  const check = checkWeights(modelClass, config, weights);
  for (const { code, message, fix, file } of check.problems) {
    problems.push({ severity: "error", code, message, fix, ...(file === undefined ? {} : { where: file }) });
  }
  for (const problem of check.definition.unsupported(check.config)) {
    const message = `${check.definition.className} with ${problem} is not supported.`;
    problems.push({ severity: "error", code: "UNSUPPORTED_CONFIG", message, fix: UNSUPPORTED_FIX });
  }
  if (check.unexpected.length > 0) {
    problems.push({
      severity: "warning",
      code: "UNEXPECTED_TENSOR",
      message: `not used: ${listed(check.unexpected)}.`,
    });
  }
  return check;
}

function summarize(
  weights: WeightSource,
): Pick<
  ComponentInspection,
  "files" | "tensors" | "parameters" | "bytes" | "dtypes" | "readAs" | "packedAs"
> {
  const files = new Map<string, { tensors: number; bytes: number }>();
  const dtypes = new Map<StoredType, { tensors: number; bytes: number }>();
  const read = new Map<SafetensorsDType, { tensors: number; bytes: number }>();
  const packed = new Map<PackedDType, { tensors: number; bytes: number }>();
  let parameters = 0;
  for (const name of weights.names()) {
    const form = weights.packed?.(name);
    if (form) entryOf(packed, form.dtype).bytes += form.byteLength;
    const info = weights.info(name);
    parameters += elementCount(info.shape);
    const { dtype, byteLength } = info.stored ?? info;
    for (const sum of [entryOf(files, info.file.split("/").at(-1)!), entryOf(dtypes, dtype)]) {
      sum.tensors += 1;
      sum.bytes += byteLength;
    }
    entryOf(read, info.dtype).bytes += info.byteLength;
  }
  const [most] = [...read].sort(([, a], [, b]) => b.bytes - a.bytes);
  const [mostPacked] = [...packed].sort(([, a], [, b]) => b.bytes - a.bytes);
  return {
    files: [...files].map(([name, sums]) => ({ name, ...sums })).sort((a, b) => (a.name < b.name ? -1 : 1)),
    tensors: weights.names().length,
    parameters,
    bytes: [...files.values()].reduce((sum, { bytes }) => sum + bytes, 0),
    dtypes: Object.fromEntries(dtypes),
    readAs: most?.[0],
    packedAs: mostPacked?.[0],
  };
}

function parameterTypes(
  weights: WeightSource,
  check: ParameterCheck | undefined,
): ReadonlyMap<string, ParameterType> {
  return new Map(
    [...(check?.stored ?? [])].map(([parameter, name]) => {
      const packed = weights.packed?.(name)?.dtype;
      return [parameter, { readAs: weights.info(name).dtype, ...(packed ? { packedAs: packed } : {}) }];
    }),
  );
}

function entryOf<Key>(
  map: Map<Key, { tensors: number; bytes: number }>,
  key: Key,
): { tensors: number; bytes: number } {
  const found = map.get(key) ?? { tensors: 0, bytes: 0 };
  map.set(key, found);
  return found;
}
