/**
 * Context parallelism: ranks share a clip's video tokens, whole frames each, and do alone what a layer does token by
 * token. Attention needs keys and values of other ranks: each layer's are exchanged, with LVSA only those of the frames
 * that a rank's pattern reaches, else all. Patterns are those of one device, so results differ from it by rounding alone.
 */
import type { Device, Tensor } from "@lvsa/runtime";
import type {
  KeyValue,
  RotaryTables,
  ShardKeys,
  VideoGeometry,
  VideoShard,
} from "../contract/attention-processor.js";
import type { AttentionPattern } from "../pattern/attention-pattern.js";
import { type ByteRange, type Collective, takeRanges } from "./collective.js";
import { type FrameRange, shareFrames } from "./share-frames.js";

/** Who exchanges what in a layer. */
interface Plan {
  /** Frames that this rank's queries see, ascending. */
  readonly frames: readonly number[];
  /** Runs of own frames that others see. */
  readonly given: readonly FrameRange[];
  /** Of each other rank: runs that this rank sees, and where they lie among what that rank gives. */
  readonly taken: readonly (readonly (FrameRange & { readonly at: number })[])[];
}

/** Records an exchange, as `Device.exchange` does. */
export type RecordExchange = (device: Device, ...exchange: Parameters<Device["exchange"]>) => void;

const recordExchange: RecordExchange = (device, ...exchange) => device.exchange(...exchange);

/** What outlives a forward pass. */
interface ShardOptions {
  readonly plans?: Map<AttentionPattern | undefined, Plan>;
  readonly record?: RecordExchange;
}

/** One rank's share of a clip, for one forward pass. */
export class SequenceShard implements VideoShard {
  readonly geometry: VideoGeometry;
  readonly frames: FrameRange;
  readonly #collective: Collective;
  readonly #shares: readonly FrameRange[];
  readonly #plans: Map<AttentionPattern | undefined, Plan>;
  readonly #record: RecordExchange;

  /** @throws UsageError `TOO_FEW_FRAMES` */
  constructor(
    collective: Collective,
    geometry: VideoGeometry,
    { plans = new Map(), record = recordExchange }: ShardOptions = {},
  ) {
    this.geometry = geometry;
    this.#collective = collective;
    this.#shares = shareFrames(geometry.latentFrames, collective.worldSize);
    this.frames = this.#shares[collective.rank]!;
    this.#plans = plans;
    this.#record = record;
  }

  get rank(): number {
    return this.#collective.rank;
  }

  get worldSize(): number {
    return this.#collective.worldSize;
  }

  get tokens(): number {
    return (this.frames.end - this.frames.first) * this.geometry.patchesPerFrame;
  }

  /** This rank's rows of `[1, tokens, …]` of the whole clip, as a copy: the whole need not stay. */
  own(device: Device, whole: Tensor): Tensor {
    const { patchesPerFrame: P } = this.geometry;
    const [batch, , ...rest] = whole.shape as [number, number, ...number[]];
    // Views are of a scope: one that is left keeps the whole.
    return device.scope(() => {
      const own = device.empty([batch, this.tokens, ...rest], whole.dtype);
      device.copyBytes(frameRows(whole, P, this.frames), own);
      return own;
    });
  }

  /** This rank's rows of the tables, as views. */
  ownTables({ cos, sin }: RotaryTables): RotaryTables {
    const { patchesPerFrame: P } = this.geometry;
    const { first, end } = this.frames;
    return { cos: cos.rows(first * P, end * P), sin: sin.rows(first * P, end * P) };
  }

  /** Rows that stand for the clip's frames or tokens, `[parts, groups, …]`: those of this rank. Any other number of groups stays. */
  groups(groups: number): { readonly start: number; readonly end: number } | undefined {
    const { latentFrames, patchesPerFrame: P } = this.geometry;
    const { first, end } = this.frames;
    if (groups === latentFrames && groups > 1) return { start: first, end };
    if (groups === latentFrames * P && groups > 1) return { start: first * P, end: end * P };
    return undefined;
  }

  /** All ranks' rows `[1, tokens, …]` as those of the whole clip: a new tensor. Recorded; every rank must record it. */
  whole(device: Device, own: Tensor): Tensor {
    const { latentFrames, patchesPerFrame: P } = this.geometry;
    const [batch, , ...rest] = own.shape as [number, number, ...number[]];
    const whole = device.empty([batch, latentFrames * P, ...rest], own.dtype);
    device.copyBytes(own, frameRows(whole, P, this.frames));
    const others = this.#others();
    const targets = others.map((rank) => frameRows(whole, P, this.#shares[rank]!));
    const frameBytes = own.byteLength / (this.frames.end - this.frames.first);
    const wanted = this.#shares.map(({ first, end }, rank): ByteRange[] =>
      rank === this.rank ? [] : [[0, (end - first) * frameBytes]],
    );
    this.#record(device, [own], targets, (given, taken) => this.#gather(given, wanted, taken));
    return whole;
  }

  keys(device: Device, { key, value }: KeyValue, pattern?: AttentionPattern): ShardKeys {
    const plan = this.#plan(pattern);
    const { patchesPerFrame: P } = this.geometry;
    const { first } = this.frames;
    const place = new Map(plan.frames.map((frame, i) => [frame, i]));
    const streams = [key, value].map((own) => {
      const [batch, , heads, headDim] = own.shape as [number, number, number, number];
      const all = device.empty([batch, plan.frames.length * P, heads, headDim], own.dtype);
      for (const run of runsOf(plan.frames.filter((frame) => this.#isOwn(frame)))) {
        const at = place.get(run.first)!;
        device.copyBytes(
          frameRows(own, P, shifted(run, -first)),
          frameRows(all, P, shifted(run, at - run.first)),
        );
      }
      const given = plan.given.map((run) => frameRows(own, P, shifted(run, -first)));
      const taken = plan.taken.map((runs) =>
        runs.map((run) => frameRows(all, P, shifted(run, place.get(run.first)! - run.first))),
      );
      return { all, given, taken, frameBytes: own.byteLength / (this.frames.end - first) };
    });
    const [keys, values] = streams as [(typeof streams)[0], (typeof streams)[0]];
    const others = this.#others();
    const targets = others.flatMap((rank) => [...keys.taken[rank]!, ...values.taken[rank]!]);
    const wanted = this.#shares.map((_, rank) =>
      this.#ranges(rank, keys.frameBytes, values.frameBytes, pattern),
    );
    this.#record(device, [...keys.given, ...values.given], targets, (given, taken) =>
      this.#gather(given, wanted, taken),
    );
    return { key: keys.all, value: values.all, frames: plan.frames };
  }

  async #gather(
    given: Uint8Array,
    wanted: readonly (readonly ByteRange[])[],
    taken: Uint8Array,
  ): Promise<void> {
    const into = cut(taken, wanted);
    const parts = await this.#collective.allGather(given, wanted, into);
    for (const [rank, target] of into.entries()) {
      // Of a collective that has memory of its own.
      if (parts[rank] !== target) takeRanges(parts[rank] ?? new Uint8Array(), undefined, target);
    }
  }

  #others(): number[] {
    return this.#shares.map((_, rank) => rank).filter((rank) => rank !== this.rank);
  }

  #isOwn(frame: number): boolean {
    return this.frames.first <= frame && frame < this.frames.end;
  }

  /** Bytes that this rank takes of what another one gives: runs of keys, then of values. */
  #ranges(
    rank: number,
    keyBytes: number,
    valueBytes: number,
    pattern: AttentionPattern | undefined,
  ): ByteRange[] {
    if (rank === this.rank) return [];
    const runs = this.#plan(pattern).taken[rank]!;
    const frames = this.#given(rank, pattern).reduce((sum, { first, end }) => sum + end - first, 0);
    const of = (bytes: number, from: number) =>
      runs.map(({ first, end, at }): ByteRange => [from + at * bytes, from + (at + end - first) * bytes]);
    return [...of(keyBytes, 0), ...of(valueBytes, frames * keyBytes)];
  }

  #plan(pattern: AttentionPattern | undefined): Plan {
    const known = this.#plans.get(pattern);
    if (known) return known;
    const frames = this.#seen(this.rank, pattern);
    const taken = this.#shares.map((share, rank) => {
      if (rank === this.rank) return [];
      const given = framesOf(this.#given(rank, pattern));
      const place = new Map(given.map((frame, i) => [frame, i]));
      const wanted = frames.filter((frame) => share.first <= frame && frame < share.end);
      return runsOf(wanted).map((run) => ({ ...run, at: place.get(run.first)! }));
    });
    const plan = { frames, given: this.#given(this.rank, pattern), taken };
    // Keyframes rotate: patterns of earlier steps do not come back soon.
    if (this.#plans.size >= 4) this.#plans.clear();
    this.#plans.set(pattern, plan);
    return plan;
  }

  /** Frames that a rank's queries see, ascending. */
  #seen(rank: number, pattern: AttentionPattern | undefined): number[] {
    const { latentFrames } = this.geometry;
    if (!pattern) return Array.from({ length: latentFrames }, (_, frame) => frame);
    const { first, end } = this.#shares[rank]!;
    const seen = new Set<number>();
    for (let row = first; row < end; row++) for (const frame of pattern.attendedFrames(row)) seen.add(frame);
    return [...seen].sort((a, b) => a - b);
  }

  /** Runs of a rank's frames that any other rank's queries see. */
  #given(rank: number, pattern: AttentionPattern | undefined): FrameRange[] {
    const { first, end } = this.#shares[rank]!;
    const seen = new Set(
      this.#shares.flatMap((_, other) => (other === rank ? [] : this.#seen(other, pattern))),
    );
    return runsOf([...seen].filter((frame) => first <= frame && frame < end).sort((a, b) => a - b));
  }
}

/** What of a pipeline's ranks outlives a pass: who they are, and what they exchange for a pattern. */
export class SequenceParallel {
  readonly collective: Collective;
  readonly #record: RecordExchange;
  readonly #plans = new Map<string, Map<AttentionPattern | undefined, Plan>>();

  /** @param record other than the device's for rehearsals, where nothing is exchanged */
  constructor(collective: Collective, record = recordExchange) {
    this.collective = collective;
    this.#record = record;
  }

  /** @throws UsageError `TOO_FEW_FRAMES` */
  shard(geometry: VideoGeometry): SequenceShard {
    const name = `${geometry.latentFrames}`;
    let plans = this.#plans.get(name);
    if (!plans) {
      plans = new Map();
      this.#plans.clear();
      this.#plans.set(name, plans);
    }
    return new SequenceShard(this.collective, geometry, { plans, record: this.#record });
  }
}

/** Rows of some frames of `[1, frames · P, …]`, as a view. @throws ShapeError for a batch of several */
function frameRows(tensor: Tensor, P: number, { first, end }: FrameRange): Tensor {
  const [batch, tokens, ...rest] = tensor.shape as [number, number, ...number[]];
  return tensor
    .reshape([batch * tokens, ...rest])
    .rows(first * P, end * P)
    .reshape([1, (end - first) * P, ...rest]);
}

function shifted({ first, end }: FrameRange, by: number): FrameRange {
  return { first: first + by, end: end + by };
}

function framesOf(runs: readonly FrameRange[]): number[] {
  return runs.flatMap(({ first, end }) => Array.from({ length: end - first }, (_, i) => first + i));
}

/** Ascending frames as runs of neighbours. */
function runsOf(frames: readonly number[]): FrameRange[] {
  const runs: { first: number; end: number }[] = [];
  for (const frame of frames) {
    const last = runs.at(-1);
    if (last?.end === frame) last.end = frame + 1;
    else runs.push({ first: frame, end: frame + 1 });
  }
  return runs;
}

/** Of each rank, the part of `bytes` that its ranges fill. */
function cut(bytes: Uint8Array, wanted: readonly (readonly ByteRange[])[]): Uint8Array[] {
  let at = 0;
  return wanted.map((ranges) => {
    const from = at;
    for (const [start, end] of ranges) at += end - start;
    return bytes.subarray(from, at);
  });
}
