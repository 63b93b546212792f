/** Which components a file of weights holds, under which names, and their configurations. */
import {
  type Arrangement,
  arrangeWeights,
  isLvsaError,
  PrefixedWeights,
  type WeightSource,
  WeightsError,
} from "@lvsa/runtime";
import type { TensorShapes } from "../../models/definition/define-model.js";
import { listed } from "../../models/definition/model-weights.js";
import type { ResolvedConfig } from "../../models/definition/resolved-config.js";
import { cogVideoXKinds } from "./cogvideox-kinds.js";
import { cosmos3Kinds } from "./cosmos3-kinds.js";
import type { FileKind, Target } from "./file-kind.js";
import { hunyuanKinds } from "./hunyuan-kinds.js";
import { imageEncoderKinds } from "./image-encoder-kinds.js";
import { textEncoderKinds } from "./text-encoder-kinds.js";
import { wanTransformerKinds } from "./wan-transformer-kinds.js";
import { wanVaeKinds } from "./wan-vae-kinds.js";

const KINDS: readonly FileKind[] = [
  ...wanTransformerKinds,
  ...wanVaeKinds,
  ...hunyuanKinds,
  ...cogVideoXKinds,
  ...cosmos3Kinds,
  ...textEncoderKinds,
  ...imageEncoderKinds,
];

export interface FoundComponent {
  readonly kind: FileKind;
  /** What the file puts before every name of the component. */
  readonly prefix: string;
  /** Of the class, read off the shapes. */
  readonly config: ResolvedConfig;
  /** Where each tensor of the class comes from; what the kind does not know keeps its name. */
  readonly tensors: ReadonlyMap<string, Arrangement>;
}

/** Titles of all kinds of files, for messages. */
export function fileKindTitles(): string[] {
  return [...new Set(KINDS.map(({ title }) => title.replace(/, (original names|names of llama\.cpp)$/, "")))];
}

/**
 * The components that a file holds: one as a rule, several in files that hold a whole pipeline. Only names and shapes are
 * looked at.
 * @throws WeightsError `UNKNOWN_FILE` where it holds none that is known
 */
export function findComponents(source: WeightSource): FoundComponent[] {
  const names = source.names();
  const found = KINDS.flatMap((kind) =>
    prefixesOf(kind, names, source).map((prefix) => component(kind, prefix, source)),
  );
  if (found.length > 0) return found;
  throw new WeightsError(
    "UNKNOWN_FILE",
    `the ${names.length} tensors are of no model that is known; they begin with ${listed(names)}.`,
    {
      fix: `Give a file of one of these: ${fileKindTitles().join("; ")}.`,
      ...(names[0] === undefined ? {} : { where: source.info(names[0]).file }),
    },
  );
}

/** The tensors of one component under the names of its class. Closing it closes `source`. */
export function componentWeights(source: WeightSource, { tensors }: FoundComponent): WeightSource {
  return arrangeWeights(source, tensors);
}

/** What stands before all marks of a kind; a file of several models may have it more than once. */
function prefixesOf(kind: FileKind, names: readonly string[], source: WeightSource): string[] {
  const [first, ...others] = kind.marks as readonly [string, ...string[]];
  return names
    .filter((name) => name === first || name.endsWith(`.${first}`))
    .map((name) => name.slice(0, -first.length))
    .filter((prefix) => others.every((mark) => source.has(prefix + mark)));
}

function component(kind: FileKind, prefix: string, source: WeightSource): FoundComponent {
  const own = new PrefixedWeights(source, prefix);
  const stored = new Map(own.names().map((name) => [name, kernelShape(name, own)]));
  const rename = kind.rename?.(stored) ?? ((name: string): readonly Target[] => [{ name }]);
  const tensors = new Map<string, Arrangement>();
  const unknown: string[] = [];
  for (const [name, shape] of stored) {
    const targets = rename(name);
    if (targets === undefined) unknown.push(name);
    for (const { name: target, ...arrangement } of targets ?? []) {
      const isJoined = shape.length !== own.info(name).shape.length;
      tensors.set(target, { from: prefix + name, ...(isJoined ? { shape } : {}), ...arrangement });
    }
  }
  // Under their own names, so that they are listed as tensors without a use.
  for (const name of unknown) if (!tensors.has(name)) tensors.set(name, { from: prefix + name });
  const shapes = shapesOf(source, tensors);
  return { kind, prefix, tensors, config: kind.config(shapes) };
}

/**
 * The shape of a tensor, also of a kernel for video in files of four axes at most (stable-diffusion.cpp's): there the
 * first one has both channels, and the bias says how many are outputs.
 */
function kernelShape(name: string, source: WeightSource): readonly number[] {
  const { shape } = source.info(name);
  const bias = name.replace(/weight$/, "bias");
  if (shape.length !== 4 || bias === name || !source.has(bias)) return shape;
  const [outputs = 0, ...others] = source.info(bias).shape;
  const [both = 0, ...window] = shape;
  const isJoined = others.length === 0 && outputs > 0 && both !== outputs && both % outputs === 0;
  return isJoined ? [outputs, both / outputs, ...window] : shape;
}

function shapesOf(source: WeightSource, tensors: ReadonlyMap<string, Arrangement>): TensorShapes {
  const arranged = arrangeWeights(source, tensors);
  return new Map(arranged.names().map((name) => [name, arranged.info(name).shape]));
}

/** Whether opening failed because the file is of no kind that is known. */
export function isUnknownFile(error: unknown): boolean {
  return isLvsaError(error) && error.code === "UNKNOWN_FILE";
}
