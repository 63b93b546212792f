/** Names of tensors: a view of the ones under a prefix, and suggestions for one that is missing. */
import { quoted } from "../printable.js";
import { weightsError } from "./header.js";
import type {
  ByteRange,
  MergedTensor,
  OnChunk,
  PackedTensor,
  TensorInfo,
  WeightSource,
} from "./weight-source.js";

export class PrefixedWeights implements WeightSource {
  readonly totalBytes: number;
  readonly parameterCount: number;
  readonly #base: WeightSource;
  readonly #prefix: string;
  readonly #names: readonly string[];

  constructor(base: WeightSource, prefix: string) {
    this.#base = base;
    this.#prefix = prefix;
    this.#names = base.names().filter((name) => name.startsWith(prefix));
    const infos = this.#names.map((name) => base.info(name));
    this.totalBytes = infos.reduce((sum, info) => sum + info.byteLength, 0);
    this.parameterCount = infos.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.#base.metadata;
  }

  names(): string[] {
    return this.#names.map((name) => name.slice(this.#prefix.length));
  }

  has(name: string): boolean {
    return this.#base.has(this.#prefix + name);
  }

  info(name: string): TensorInfo {
    return this.#base.info(this.#prefix + name);
  }

  read(name: string, range?: ByteRange): Promise<Uint8Array> {
    return this.#base.read(this.#prefix + name, range);
  }

  stream(name: string, chunkBytes: number, onChunk: OnChunk, range?: ByteRange): Promise<void> {
    return this.#base.stream(this.#prefix + name, chunkBytes, onChunk, range);
  }

  packed(name: string): PackedTensor | undefined {
    return this.#base.packed?.(this.#prefix + name);
  }

  merged(name: string): MergedTensor | undefined {
    return this.#base.merged?.(this.#prefix + name);
  }

  withPrefix(prefix: string): WeightSource {
    return new PrefixedWeights(this.#base, this.#prefix + prefix);
  }

  async close(): Promise<void> {}
}

/** The error for a name that is not there, with the nearest that are. */
export function missingTensor(name: string, names: readonly string[], where: string): Error {
  const close = closestNames(name, names);
  const there =
    close.length > 0 ? `; the nearest names are ${close.map((text) => quoted(text)).join(", ")}` : "";
  return weightsError("MISSING_TENSOR", `there is no tensor ${quoted(name)} among ${names.length}${there}.`, {
    where,
    fix: "Use the weights and the config.json of the same checkpoint.",
  });
}

/** Up to three names that share most of their ends with `name`: a typing error or another prefix. */
export function closestNames(name: string, names: Iterable<string>): string[] {
  const scored: { name: string; score: number }[] = [];
  for (const other of names) {
    const most = Math.min(name.length, other.length);
    let front = 0;
    while (front < most && name[front] === other[front]) front++;
    let back = 0;
    while (back < most - front && name.at(-1 - back) === other.at(-1 - back)) back++;
    const score = (front + back) / Math.max(name.length, other.length);
    if (score >= 0.5) scored.push({ name: other, score });
  }
  scored.sort((a, b) => b.score - a.score || (a.name < b.name ? -1 : 1));
  return scored.slice(0, 3).map((one) => one.name);
}
