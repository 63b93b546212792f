/** What the blocks of one branch changed when they last ran, on the GPU, and whether a step uses it again. */
import { absoluteSums, add, addScaled, cast, type Device, type Tensor } from "@lvsa/runtime";
import type { BlockCache, TimeEmbeddings } from "../models/transformers/run-blocks.js";
import type { HostTensor } from "../pipelines/host-tensor.js";
import type { PartState } from "../run-state/stateful.js";
import { CalibrationDecider } from "./calibration.js";
import { type Decider, type Decision, FirstBlockDecider, relativeChange, TeaDecider } from "./decisions.js";

/** Which of a model's time embeddings TeaCache looks at. */
export type TeaInput = keyof TimeEmbeddings;

/** A tensor that lies on the GPU, or waits on the processor since a run was resumed. */
class Kept {
  readonly #device: Device;
  #tensor: Tensor | undefined;
  #host: HostTensor | undefined;

  constructor(device: Device) {
    this.#device = device;
  }

  get isThere(): boolean {
    return (this.#tensor ?? this.#host) !== undefined;
  }

  get(): Tensor | undefined {
    if (!this.#tensor && this.#host) this.#tensor = this.#device.upload(this.#host.data, this.#host.shape);
    this.#host = undefined;
    return this.#tensor;
  }

  /** Takes `tensor` over, and frees what was there. */
  set(tensor: Tensor | undefined): void {
    this.#tensor?.dispose();
    this.#tensor = tensor;
    this.#host = undefined;
  }

  restore(host: HostTensor | undefined): void {
    this.set(undefined);
    this.#host = host;
  }

  async read(): Promise<HostTensor | undefined> {
    if (this.#host) return this.#host;
    return this.#tensor && { data: await this.#device.read(this.#tensor), shape: this.#tensor.shape };
  }
}

export interface BranchStep {
  readonly index: number;
  readonly heard: (decision: Decision) => void;
}

export class BranchBlocks implements BlockCache {
  readonly lead: number;
  readonly #device: Device;
  readonly #decider: Decider;
  readonly #teaInput: TeaInput | undefined;
  /** What the blocks after `lead` added to the stream. */
  readonly #change: Kept;
  /** What the first block added when the others last ran. */
  readonly #head: Kept;
  #embedding: Float32Array | undefined;
  /** The stream before `lead`, and behind it: in a pass that is at work. */
  #before: Tensor | undefined;
  #behind: Tensor | undefined;
  #step: BranchStep | undefined;
  #host: Readonly<Record<string, HostTensor>> = {};

  constructor(device: Device, decider: Decider, teaInput?: TeaInput) {
    this.#device = device;
    this.#decider = decider;
    this.#teaInput = teaInput;
    this.lead = decider instanceof FirstBlockDecider ? 1 : 0;
    this.#change = new Kept(device);
    this.#head = new Kept(device);
  }

  /** Before each pass. */
  begin(step: BranchStep): this {
    this.#step = step;
    return this;
  }

  start(stream: Tensor): void {
    this.abandon();
    if (this.lead > 0) this.#before = cast(this.#device, stream, "f32");
  }

  async reuse(stream: Tensor, embeddings: TimeEmbeddings | undefined): Promise<Tensor | undefined> {
    const device = this.#device;
    const step = this.#step!;
    if (this.#decider instanceof TeaDecider) await this.#hearEmbedding(embeddings?.[this.#teaInput!]);
    if (this.#decider instanceof FirstBlockDecider) await this.#hearFirstBlock(stream, this.#decider);
    const decision = this.#decider.next(step.index, this.#change.isThere);
    step.heard(decision);
    if (decision.reuse) {
      this.abandon();
      return add(device, stream, this.#change.get()!);
    }
    if (this.#before) {
      this.#head.set(this.#before);
      this.#before = undefined;
    }
    // Nobody asks for the old change again, and the new one needs its memory.
    this.#change.set(undefined);
    this.#behind = cast(device, stream, "f32");
    return undefined;
  }

  async remember(stream: Tensor): Promise<void> {
    const behind = this.#behind;
    // A model that has no blocks beyond those that always run.
    if (!behind) return;
    this.#behind = undefined;
    this.#change.set(addScaled(this.#device, behind, -1, stream, 1, { out: behind }));
    if (this.#decider instanceof CalibrationDecider) {
      this.#decider.hearChange(await this.#device.read(behind), behind.shape.at(-1)!);
    }
  }

  abandon(): void {
    this.#before?.dispose();
    this.#behind?.dispose();
    this.#before = undefined;
    this.#behind = undefined;
  }

  /** Reads what is on the GPU, for `state`. */
  async prepareState(): Promise<void> {
    const [change, head] = [await this.#change.read(), await this.#head.read()];
    const embedding = this.#embedding && { data: this.#embedding, shape: [this.#embedding.length] };
    this.#host = { ...(change && { change }), ...(head && { head }), ...(embedding && { embedding }) };
  }

  /** After `prepareState`. */
  state(): PartState {
    return { values: this.#decider.state(), tensors: this.#host };
  }

  restore({ values, tensors }: PartState): void {
    this.#decider.restore(values);
    this.#change.restore(tensors.change);
    this.#head.restore(tensors.head);
    this.#embedding = tensors.embedding?.data;
  }

  dispose(): void {
    this.abandon();
    this.#change.set(undefined);
    this.#head.set(undefined);
  }

  async #hearEmbedding(tensor: Tensor | undefined): Promise<void> {
    const embedding = await this.#device.read(tensor!);
    const before = this.#embedding;
    if (before && this.#decider instanceof TeaDecider) this.#decider.hear(relativeChange(embedding, before));
    this.#embedding = embedding;
  }

  async #hearFirstBlock(stream: Tensor, decider: FirstBlockDecider): Promise<void> {
    const device = this.#device;
    const before = this.#before!;
    addScaled(device, before, -1, stream, 1, { out: before });
    const head = this.#head.get();
    if (!head) return decider.hear(undefined);
    const { difference, magnitude } = await absoluteSums(device, before, head);
    decider.hear(difference / magnitude);
  }
}
