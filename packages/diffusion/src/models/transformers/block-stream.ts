/**
 * Blocks of a transformer that come to the GPU while it runs. Two places of fixed memory take turns: while the GPU works
 * on the block in one, the next block is read, and written to the other. Both passes of a step and all steps go round in
 * the same order, so that behind the last block the first one comes again.
 *
 * Writes are ordered behind the work that was recorded before, so a place may be written to as soon as the block in it
 * is recorded. What is read ahead lies in host memory, because the driver's staging memory is bounded, and a writer that
 * waits for it does not read.
 */
import type { Device, DType, Shape, Tensor, WeightSource } from "@lvsa/runtime";
import { throwIfAborted } from "@lvsa/runtime";
import { HeldWeights } from "../held-weights.js";
import type { BlockOffload, Parameters } from "../parameters.js";

export interface StreamedBlock {
  /** Of its parameters' names, e.g. `blocks.3.`. */
  readonly prefix: string;
  readonly names: readonly string[];
}

type Slot = 0 | 1;

export class BlockStream {
  readonly #parameters: Parameters;
  readonly #source: WeightSource;
  readonly #blocks: readonly StreamedBlock[];
  readonly #offload: BlockOffload;
  readonly #memory: readonly [SlotMemory, SlotMemory];
  /** Number of the block that each place holds whole. */
  readonly #inSlot: [number | undefined, number | undefined] = [undefined, undefined];
  readonly #kept = new Map<number, HeldWeights>();
  readonly #stop = new AbortController();
  #keptBytes = 0;
  #current: Slot = 1;
  /** The block that is on its way, and what went wrong with it. */
  #ahead: { readonly index: number; readonly failure: Promise<{ error: unknown } | undefined> } | undefined;

  constructor(
    parameters: Parameters,
    source: WeightSource,
    blocks: readonly StreamedBlock[],
    offload: BlockOffload,
  ) {
    this.#parameters = parameters;
    this.#source = source;
    this.#blocks = blocks;
    this.#offload = offload;
    this.#memory = [new SlotMemory(parameters.device), new SlotMemory(parameters.device)];
  }

  /** Brings the first two blocks: from here on there is all the memory that blocks take. @throws as `Parameters.load` */
  async start(): Promise<void> {
    await this.enter(0);
    const failed = await this.#ahead?.failure;
    if (failed) throw failed.error;
  }

  /** Brings a block, and begins with the one behind it. One caller at a time. @throws as `Parameters.load` */
  async enter(index: number): Promise<void> {
    const ahead = this.#ahead;
    const failed = await ahead?.failure;
    this.#ahead = undefined;
    // A pass that was stopped may have left another block on its way: what became of that is nobody's concern.
    if (failed && ahead?.index === index) throw failed.error;
    if (this.#inSlot[this.#current] !== index) {
      const other: Slot = this.#current === 0 ? 1 : 0;
      if (this.#inSlot[other] !== index) await this.#bring(index, other);
      this.#current = other;
    }
    const next = (index + 1) % this.#blocks.length;
    if (this.#inSlot.includes(next)) return;
    const failure = this.#bring(next, this.#current === 0 ? 1 : 0).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    this.#ahead = { index: next, failure };
  }

  /** Frees both places. What is being read is dropped when it comes. */
  close(): void {
    this.#stop.abort();
    for (const memory of this.#memory) memory.close();
    this.#kept.clear();
  }

  async #bring(index: number, slot: Slot): Promise<void> {
    const { signal } = this.#stop;
    const source = await this.#read(index);
    throwIfAborted(signal, "loading the weights");
    const memory = this.#memory[slot];
    const before = this.#inSlot[slot];
    this.#inSlot[slot] = undefined;
    if (before !== undefined) this.#parameters.forget(this.#blocks[before]!.prefix);
    memory.begin();
    const { prefix, names } = this.#blocks[index]!;
    const wanted = new Set(names);
    await this.#parameters.scoped(prefix).load(source, {
      ...{ prefix, signal },
      only: (name) => wanted.has(prefix + name),
      allocate: (shape, dtype, label) => memory.take(shape, dtype, label),
    });
    memory.end();
    this.#inSlot[slot] = index;
  }

  async #read(index: number): Promise<WeightSource> {
    const kept = this.#kept.get(index);
    if (kept) return kept;
    const { cacheBytes = 0, readsAhead = true } = this.#offload;
    if (!readsAhead) return this.#source;
    const read = await HeldWeights.read(this.#source, this.#blocks[index]!.names, this.#stop.signal);
    // Blocks come round in a circle: keeping the first that fit saves most, replacing them would save nothing.
    if (this.#keptBytes + read.heldBytes <= cacheBytes && !this.#stop.signal.aborted) {
      this.#kept.set(index, read);
      this.#keptBytes += read.heldBytes;
    }
    return read;
  }
}

/** Memory of one block: the next block of the same shapes takes it over. */
class SlotMemory {
  readonly #device: Device;
  readonly #free = new Map<string, Tensor[]>();
  #taken: Tensor[] = [];
  #isClosed = false;

  constructor(device: Device) {
    this.#device = device;
  }

  begin(): void {
    for (const tensor of this.#taken) {
      const key = keyOf(tensor.shape, tensor.dtype);
      this.#free.set(key, [...(this.#free.get(key) ?? []), tensor]);
    }
    this.#taken = [];
  }

  take(shape: Shape, dtype: DType, label: string): Tensor {
    throwIfAborted(this.#isClosed ? AbortSignal.abort() : undefined, "loading the weights");
    const tensor =
      this.#free.get(keyOf(shape, dtype))?.pop() ?? this.#device.empty(shape, dtype, { label, pinned: true });
    this.#taken.push(tensor);
    return tensor;
  }

  /** Frees what the block had no use for: blocks of some quantized files differ. */
  end(): void {
    for (const tensor of [...this.#free.values()].flat()) tensor.dispose();
    this.#free.clear();
  }

  close(): void {
    this.#isClosed = true;
    this.end();
    for (const tensor of this.#taken) tensor.dispose();
    this.#taken = [];
  }
}

function keyOf(shape: Shape, dtype: DType): string {
  return `${dtype} ${shape.join("x")}`;
}
